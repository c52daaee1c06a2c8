"""A study as a whole: its settings, its content addresses, its cells, its progress."""
