"""Commands that a hub answers."""
