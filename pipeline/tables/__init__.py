"""What was found, as columns: rows that become entries, or no more than values, when somebody looks."""
