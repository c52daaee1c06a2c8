"""The atlas: what the layers of known networks are called, in every spelling, and what they do.

One data file a model, made by ``make atlas`` from the libraries that define the models; reading it needs
none of them.
"""
