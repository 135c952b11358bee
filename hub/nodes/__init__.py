"""The workers of other nodes and the cluster around them: who is there, what they are to keep and to enforce."""
