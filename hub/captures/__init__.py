"""What lies in the store: looked after, taken in, given out."""
