"""Several stores read as one, and the copies that nodes send to object storage."""
