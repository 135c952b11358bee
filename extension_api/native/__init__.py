"""The batch frame in C; `kubeshark.extension_api._batch` calls it. Its oracle is `_frame.py`."""
