"""Records in, batches of pictures out."""
