"""Names, control messages, and what is left: raw payload and connections."""
