"""What is judged by, and what becomes of a packet: to be read, and of many packets at once."""
