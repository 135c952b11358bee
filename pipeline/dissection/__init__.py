"""Who reads a connection, and what it says: claims, probes, scanners, and the pairing of requests and responses."""
