"""What is added to entries, and what of them is hidden."""
