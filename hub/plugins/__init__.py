"""Plugins and scripts: what is installed, how it fares, and more of it."""
