"""Python objects made of bytes, in C; `kubeshark.pipeline._objects` loads what is built of it."""
