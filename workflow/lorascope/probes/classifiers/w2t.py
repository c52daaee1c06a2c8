"""The probe `w2t`: singular components of layers become tokens, and a transformer reads the tokens."""

from lorascope.probes.factors.probe import probe_of

READS_FACTORS = True
# Signs of factors are free, so that a column has no mean; the network brings sizes to one scale itself.
STANDARDISED = False


def network() -> type:
    """Return the dataclass of the network."""
    from lorascope.probes.factors.w2t import W2T

    return W2T


run, log_probabilities = probe_of(network)
