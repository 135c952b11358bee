"""How an answer is made: for whoever waits for it, as a stream or a sum, from parameters that endpoints share."""
