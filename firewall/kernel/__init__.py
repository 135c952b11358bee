"""The data plane: a rule set in the kernel's tables, and its programs on devices."""
