"""Packages of plugins: the .ksp file, who signed it, where it comes from. Nothing here runs or compiles a plugin."""

from kubeshark.packages._archive import pack, unpack
from kubeshark.packages._sources import Fetched, fetch, local

__all__ = ["Fetched", "fetch", "local", "pack", "unpack"]
