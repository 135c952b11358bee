"""What an entry is, its one order, and how it is shown."""
