"""Firewall policies: tried on recorded traffic, enforced, watched."""
