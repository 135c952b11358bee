"""(described by its first module)"""
