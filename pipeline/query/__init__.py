"""How a question is answered: what to read, in which order, until when."""
