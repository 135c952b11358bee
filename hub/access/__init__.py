"""Who somebody is to the hub, and what that allows: roles, tokens, sessions, limits, and what is written down of it."""
