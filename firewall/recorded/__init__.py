"""Policies and recorded traffic: what they would do to it, and which it asks for."""
