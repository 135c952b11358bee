"""Who the ends of an entry were at its time: names from files, from a cluster, from what was heard."""
