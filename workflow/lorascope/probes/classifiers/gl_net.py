"""The probe `gl_net`: equivariant layers on (B, A), then an invariant head."""

from lorascope.probes.factors.probe import probe_of

READS_FACTORS = True
# Signs of factors are free, so that a column has no mean; the network brings sizes to one scale itself.
STANDARDISED = False


def network() -> type:
    """Return the dataclass of the network."""
    from lorascope.probes.factors.gl_net import GLNet

    return GLNet


run, log_probabilities = probe_of(network)
