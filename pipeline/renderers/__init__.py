"""The built-in renderers: plugins like anybody's, one module each, registered through the same manager."""

__all__ = ["BUILTINS"]

BUILTINS: tuple[str, ...] = ()
