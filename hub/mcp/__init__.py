"""The store over the Model Context Protocol: for models on this machine, and on a hub."""
