"""What many entries add up to: counts, the service map, lanes of time."""
