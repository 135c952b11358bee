"""What goes before somebody else's stream, which is handed over to whoever knows it: SOCKS, the PROXY protocol."""
