"""How packets come into a store: collected, logged if they are live, sealed into segments."""
