"""Gates: which samples of a batch are worth a training step, and how much each of them then counts."""
