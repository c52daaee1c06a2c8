"""The representations: named functions from a matrix to a fixed number of features."""
