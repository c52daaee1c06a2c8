"""Which representations there are, and what each consists of.

Modules are imported by name and only when needed: a representation's cache key covers the modules that it
imports, so that a static import from here would tie the keys of all nine to the code of each.
"""

from importlib import import_module
from types import ModuleType

from lorascope.errors import LorascopeError

REPRESENTATIONS = (
    "simple_stats",
    "rank_based",
    "stats",
    "spectral",
    "matrix_norms",
    "distribution",
    "frequency",
    "info_theoretic",
    "ensemble",
)


def module_name(name: str) -> str:
    """Return the full name of the module that defines a representation.

    Raises:
        LorascopeError: there is no such representation.
    """
    if name not in REPRESENTATIONS:
        raise LorascopeError(
            f"representation '{name}' is not known; choose from: {', '.join(REPRESENTATIONS)}"
        )
    return f"lorascope.features.{name}"


def load(name: str) -> ModuleType:
    """Import the module of a representation: either ``NAMES`` and ``compute``, or ``PARTS``."""
    return import_module(module_name(name))


def parts(name: str) -> tuple[str, ...]:
    """Return the representations whose feature files make up this one: itself, unless it is a combination."""
    return getattr(load(name), "PARTS", (name,))


def feature_names(name: str) -> tuple[str, ...]:
    """Return the names of the features of one matrix, in order; ``<part>.<feature>`` for a combination."""
    module = load(name)
    if hasattr(module, "PARTS"):
        return tuple(f"{part}.{feature}" for part in module.PARTS for feature in feature_names(part))
    return module.NAMES


def feature_count(name: str) -> int:
    """Return the number of features of one matrix."""
    return len(feature_names(name))
