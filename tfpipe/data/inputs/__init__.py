"""Which pictures there are, and what the input says of each."""
