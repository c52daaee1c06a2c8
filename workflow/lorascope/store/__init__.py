"""Features that several checkouts share: a folder on a mount, or a bucket, of entries that never change."""
