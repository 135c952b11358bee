"""What a command says: lines, tables, progress."""
