"""Python objects made of bytes, in C; `kubeshark.pipeline.tables._objects` loads what is built of it."""
