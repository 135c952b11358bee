"""Plugins in C and C++: shared objects, called through cffi in the sandboxed child."""
