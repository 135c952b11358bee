"""What leaves a store: packets of whole connections or of entries, and HAR."""
