"""What a store says of itself beside its segments: who is in it, who wrote it, what was sent away."""
