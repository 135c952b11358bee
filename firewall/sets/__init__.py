"""What machines are to enforce, as documents: a hub keeps and signs them, a node takes them."""
