"""Options that several commands share, and their defaults in kubeshark.yaml."""
