"""HTTP in every version and what runs over it."""
