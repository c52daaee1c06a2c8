"""Which modules and data files each step runs on: what its keys and its files' provenance digest."""

from lorascope.features.registry import is_layered, source_of
from lorascope.gates import registry as gates
from lorascope.probes import registry as probes

_TEMPLATES = "report/templates"

ZOO_BASE = ("lorascope.zoo.base", "lorascope.zoo.images")
SHIPPED_BASE = ("zoo/base.safetensors",)
ZOO_TRAIN = ("lorascope.zoo.steps",)
DOWNLOAD = ("lorascope.data.hub.download",)
PREPARE = ("lorascope.data.prepare", "lorascope.data.sources")
LABEL = ("lorascope.data.labels",)
PASSPORT = ("lorascope.passport.passport",)
CONTROL = ("lorascope.controls.run", "lorascope.features.certify")
SPARSE_IMAGES = ("lorascope.sparse.prepare",)
SCALING = ("lorascope.report.scaling",)
SPARSE_RESULTS = ("lorascope.sparse.compare", "lorascope.sparse.report", _TEMPLATES)
IMPORTANCE = ("lorascope.probes.importance",)
ADAPTER_MAP = ("lorascope.features.adapter_map",)
KEEP = ("lorascope.study.keep",)
RESULTS = ("lorascope.stats.aggregate", "lorascope.report.page", _TEMPLATES)


def fit(representation: str) -> tuple[str, ...]:
    """Return the modules that fit one representation."""
    return ("lorascope.features.fit", source_of(representation))


def extract(representation: str) -> tuple[str, ...]:
    """Return the modules that extract one representation."""
    loop = "lorascope.features.layers" if is_layered(representation) else "lorascope.features.extract"
    return (loop, source_of(representation))


def train(probe: str, settings: dict | None = None) -> tuple[str, ...]:
    """Return the modules that train one probe, and those of the gate that its settings may name."""
    gate = (gates.source_of(settings["gate"]),) if settings and "gate" in settings else ()
    return ("lorascope.probes.train", probes.source_of(probe), *gate)


def sparse_train(gate: str) -> tuple[str, ...]:
    """Return the modules that train with one gate, written ``name`` or ``name@rate``."""
    return ("lorascope.sparse.train", gates.source_of(gate))


def scale(probe: str, settings: dict | None = None) -> tuple[str, ...]:
    """Return the modules that train one probe on shares of the training part."""
    return ("lorascope.probes.curve", *train(probe, settings))
