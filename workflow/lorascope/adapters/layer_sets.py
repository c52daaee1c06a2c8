"""Layer groups (units of extraction) and layer sets (what a probe is allowed to see)."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from lorascope.adapters.names import attention_of, block_of
from lorascope.errors import LorascopeError

GROUPINGS = ("attention", "block", "layer")


def group_of(layer: str, grouping: str) -> str:
    """Return the name of the layer group that ``layer`` belongs to; safe as a file name."""
    if grouping == "attention":
        return attention_of(layer)
    if grouping == "block":
        return f"{block_of(layer)}.{attention_of(layer)}"
    if grouping == "layer":
        return layer
    raise LorascopeError(f"grouping: '{grouping}' is not known; choose one of {', '.join(GROUPINGS)}")


def groups_of(layers: Iterable[str], grouping: str) -> list[str]:
    """Return the distinct groups of ``layers`` in order of first appearance."""
    return list(dict.fromkeys(group_of(layer, grouping) for layer in layers))


def select_layers(layers: Sequence[str], patterns: str | Sequence[str], name: str = "layer set") -> list[str]:
    """Return the layers that match any of the shell-style ``patterns`` (``*`` also matches dots).

    Raises:
        LorascopeError: no layer matches.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    chosen = [layer for layer in layers if any(fnmatchcase(layer, pattern) for pattern in patterns)]
    if not chosen:
        known = f"layers: {layers[0]}, …" if layers else "there are no layers"
        raise LorascopeError(f"{name}: no layer matches {' or '.join(map(repr, patterns))}; {known}")
    return chosen


def reference_layer_set(layer_sets: Iterable[str]) -> str | None:
    """Return the layer set that the others are compared with: the first one; None where there is none."""
    return next(iter(layer_sets), None)
