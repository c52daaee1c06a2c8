"""Plain definitions, written a second time, that the fast code is compared with."""
