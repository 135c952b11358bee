"""Who comes in: the gate around everything, and the ways through it."""
