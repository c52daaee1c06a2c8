"""Five representations side by side; nothing is computed here."""

PARTS = ("spectral", "matrix_norms", "distribution", "frequency", "info_theoretic")
