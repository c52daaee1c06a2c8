"""Which gates there are; a module is imported when its gate is built, so that keys cover one gate alone."""

from importlib import import_module

from lorascope.errors import LorascopeError

MODULES = {
    "dense": "lorascope.gates.dense",
    "uniform": "lorascope.gates.uniform",
    "sundew": "lorascope.gates.sundew",
    "loss_topk": "lorascope.gates.loss_topk",
    "infobatch": "lorascope.gates.infobatch",
    "free_loss": "lorascope.gates.free_loss",
}
CLASSES = {
    "dense": "Dense",
    "uniform": "Uniform",
    "sundew": "Sundew",
    "loss_topk": "LossTopK",
    "infobatch": "InfoBatch",
    "free_loss": "FreeLoss",
}
RATE_MARK = "@"
# The published target of sundew.
DEFAULT_RATE = 0.06


def parse_gate(text: str, rate: float = DEFAULT_RATE) -> tuple[str, float]:
    """Split ``name`` or ``name@rate``, such as ``uniform@0.5``, into name and rate.

    Args:
        text: from the config.
        rate: of a gate that names none.

    Raises:
        LorascopeError: an unknown gate, or a rate that is no number in (0, 1].
    """
    name, mark, own = text.partition(RATE_MARK)
    if name not in MODULES:
        raise LorascopeError(f"gate '{text}': unknown; there are: {', '.join(MODULES)}")
    try:
        rate = float(own) if mark else rate
    except ValueError:
        rate = float("nan")
    if not 0 < rate <= 1:
        raise LorascopeError(f"gate '{text}': write {name}@RATE with a rate above 0 and at most 1")
    return name, rate


def source_of(text: str) -> str:
    """Return the module of the gate that ``text`` names."""
    return MODULES[parse_gate(text)[0]]


def build_gate(text: str, rate: float, samples: int, device: str = "cpu"):
    """Return the gate that ``text`` names, as new.

    Args:
        text: ``name`` or ``name@rate``.
        rate: of a gate that names none.
        samples: number of training samples.
        device: where the tensors are.
    """
    name, rate = parse_gate(text, rate)
    return getattr(import_module(MODULES[name]), CLASSES[name])(samples, rate, device)
