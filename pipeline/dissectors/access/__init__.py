"""Directories and access control: LDAP, RADIUS, Diameter."""
