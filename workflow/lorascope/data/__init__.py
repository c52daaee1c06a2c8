"""From a source to one layout: weights per layer group, layer table, adapters with label and split."""
