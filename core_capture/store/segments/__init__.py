"""A segment: the two files that it is, made, and read by ranges."""
