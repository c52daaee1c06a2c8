"""Which gates there are: every module beside this one, but for what gates share.

A module is imported when its gate is built, so that keys cover one gate alone; its ``GATE`` is the class.
"""

from lorascope import gates
from lorascope.discovery import load_module, modules_in
from lorascope.errors import LorascopeError

_SHARED = ("base", "registry")
GATES = tuple(name for name in modules_in(gates) if name not in _SHARED)
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
    if name not in GATES:
        raise LorascopeError(f"gate '{text}': unknown; there are: {', '.join(GATES)}")
    try:
        rate = float(own) if mark else rate
    except ValueError:
        rate = float("nan")
    if not 0 < rate <= 1:
        raise LorascopeError(f"gate '{text}': write {name}@RATE with a rate above 0 and at most 1")
    return name, rate


def source_of(text: str) -> str:
    """Return the module of the gate that ``text`` names."""
    return f"{gates.__name__}.{parse_gate(text)[0]}"


def build_gate(text: str, rate: float, samples: int, device: str = "cpu"):
    """Return the gate that ``text`` names, as new.

    Args:
        text: ``name`` or ``name@rate``.
        rate: of a gate that names none.
        samples: number of training samples.
        device: where the tensors are.
    """
    name, rate = parse_gate(text, rate)
    return load_module(gates, name).GATE(samples, rate, device)
