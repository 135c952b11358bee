"""Packages of plugins: the .ksp file, who signed it, where it comes from. Nothing here runs or compiles a plugin.

Its modules are imported where they are needed: every command loads the installed plugins, and few of them fetch any.
"""
