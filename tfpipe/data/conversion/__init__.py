"""Pictures to records: scan, plan, shard jobs, publish."""
