"""What is enforced on this machine, and the process that holds it."""
