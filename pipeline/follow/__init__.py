"""The live view: what is new, what of it is settled, and what was told."""
