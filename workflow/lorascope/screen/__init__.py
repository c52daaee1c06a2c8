"""What a run of the workflow shows: its jobs and the time left, what failed and why, and its answer."""
