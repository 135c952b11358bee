"""The seek table's exact bytes."""

from kubeshark.core_capture.store._seektable import make_seek_table


def test_its_bytes() -> None:
    assert make_seek_table([(33, 24), (5, 0x01020304)]) == (
        b"\x5e\x2a\x4d\x18\x19\0\0\0"
        + b"\x21\0\0\0\x18\0\0\0"
        + b"\x05\0\0\0\x04\x03\x02\x01"
        + b"\x02\0\0\0\0\xb1\xea\x92\x8f"
    )
