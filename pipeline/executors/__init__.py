"""Where the work of a query is done: in this process, in several of this machine, on a cluster of Ray."""
