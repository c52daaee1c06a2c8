"""Controls: what could score as well without having read what a study asks about."""
