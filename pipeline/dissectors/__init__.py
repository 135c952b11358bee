"""The built-in dissectors: plugins like anybody's, one module each, registered through the same manager."""

BUILTINS = ("kubeshark.pipeline.dissectors.http1",)

__all__ = ["BUILTINS"]
