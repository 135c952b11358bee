"""Where packets come from: segments of a store or a file, their connections, and the two sides of each."""
