"""Which modules each step runs: what its keys and its files' provenance digest."""

from lorascope.features.registry import module_name
from lorascope.probes.registry import MODULES

ZOO_BASE = ("lorascope.zoo.base",)
ZOO_TRAIN = ("lorascope.zoo.train", "lorascope.zoo.shards")
PREPARE = ("lorascope.data.prepare", "lorascope.data.sources")
LABEL = ("lorascope.data.labels",)
RESULTS = ("lorascope.stats.aggregate", "lorascope.report.page")


def extract(representation: str) -> tuple[str, ...]:
    """Return the modules that extract one representation."""
    return ("lorascope.features.extract", module_name(representation))


def train(probe: str) -> tuple[str, ...]:
    """Return the modules that train one probe."""
    return ("lorascope.probes.train", MODULES[probe])
