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
# Of the update ΔW = BA of a layer, or of both its factors together, rather than of single matrices.
LAYER_REPRESENTATIONS = (
    "delta_spectrum",
    "delta_kernel",
    "delta_gram",
    "delta_bilinear",
    "delta_sketch",
    "delta_projector",
    "canonical",
    "factors",
    "flat",
    "pca",
)

# Their columns are coordinates of a layer in its training part's axes, by falling share: how much they differ
# says how much they matter, and columns made alike are mostly noise. Scaled layer by layer, a linear probe on
# 600 adapters of a hard zoo (Gaussian A) named 87 % from `delta_bilinear`, and 70 % scaled column by column.
SCALED_BY_LAYER = frozenset({"delta_bilinear", "delta_gram"})


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
    return (name,) if is_layered(name) else getattr(load(name), "PARTS", (name,))


def feature_names(name: str) -> tuple[str, ...]:
    """Return the names of the features of one matrix, in order; ``<part>.<feature>`` for a combination."""
    module = load(name)
    if hasattr(module, "PARTS"):
        return tuple(f"{part}.{feature}" for part in module.PARTS for feature in feature_names(part))
    return module.NAMES


def feature_count(name: str) -> int:
    """Return the number of features of one matrix."""
    return len(feature_names(name))


def layer_module_name(name: str) -> str:
    """Return the full name of the module that defines a layer representation.

    Raises:
        LorascopeError: there is no such layer representation.
    """
    if name not in LAYER_REPRESENTATIONS:
        raise LorascopeError(
            f"layer representation '{name}' is not known; choose from: {', '.join(LAYER_REPRESENTATIONS)}"
        )
    return f"lorascope.features.{name}"


def load_layer(name: str) -> ModuleType:
    """Import the module of a layer representation: ``FITTED``, ``names``, ``compute`` (and ``Fitter``)."""
    return import_module(layer_module_name(name))


def is_layered(name: str) -> bool:
    """Tell whether a representation is of whole layers: its columns are named ``<layer>.delta/<feature>``."""
    return name in LAYER_REPRESENTATIONS


def is_fitted(name: str) -> bool:
    """Tell whether a representation is fitted to the training part before it is extracted."""
    return is_layered(name) and load_layer(name).FITTED


def source_of(name: str) -> str:
    """Return the full name of the module that defines a representation of either kind."""
    return layer_module_name(name) if is_layered(name) else module_name(name)
