"""Comparisons with peers: the same input, the same run, equal results asserted before anything is timed."""
