"""One run: a model trained under one RunConfig into one run folder."""
