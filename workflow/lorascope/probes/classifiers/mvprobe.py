"""The probe `mvprobe`: several invariant views of every update, each encoded, then put together."""

from lorascope.probes.factors.probe import probe_of

READS_FACTORS = True
# Signs of factors are free, so that a column has no mean; the network brings sizes to one scale itself.
STANDARDISED = False


def network() -> type:
    """Return the dataclass of the network."""
    from lorascope.probes.factors.mvprobe import MVProbe

    return MVProbe


run, log_probabilities = probe_of(network)
