"""What becomes of segments later: deleted, kept, mended, given to other readers."""
