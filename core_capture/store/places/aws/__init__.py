"""Credentials of S3, from wherever AWS's own tools would take them."""
