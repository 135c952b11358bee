"""Who may read a store, and who wrote it: age, its identities and recipients, signatures of nodes."""
