"""What a hub holds while it runs."""
