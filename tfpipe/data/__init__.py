"""Pictures and bytes: from a folder of pictures to batches."""
