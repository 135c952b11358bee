"""Which addresses the names of rules have: asked, heard, and as they were when a recording was made."""
