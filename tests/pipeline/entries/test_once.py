"""What is worked out at the first look, and once."""

from __future__ import annotations

from kubeshark.pipeline.entries._once import once


class Square:
    def __init__(self, side: int) -> None:
        self.side = side
        self.worked_out = 0

    @once
    def area(self) -> int:
        """In square units."""
        self.worked_out += 1
        return self.side**2


def test_it_is_worked_out_at_the_first_look_and_kept() -> None:
    square = Square(3)
    assert not square.worked_out
    assert [square.area, square.area] == [9, 9]
    assert square.worked_out == 1


def test_each_object_has_its_own() -> None:
    assert [Square(side).area for side in (1, 2)] == [1, 4]


def test_the_class_has_what_says_it() -> None:
    assert Square.area.__doc__ == "In square units."
