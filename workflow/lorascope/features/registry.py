"""Which representations there are: the modules in ``representations``. Each says there what it consists of.

Of single matrices: ``NAMES`` of the features and ``compute``. Of a layer's update ΔW = BA, or of both its
factors together: ``names``, ``compute``, ``FITTED`` (and ``Fitter``). Of other representations: ``PARTS``.

Modules are imported by name and only when needed: a representation's cache key covers the modules that it
imports, so that a static import from here would tie the keys of all to the code of each.
"""

from types import ModuleType

from lorascope.discovery import load_module, modules_in
from lorascope.errors import LorascopeError
from lorascope.features import representations

REPRESENTATIONS = modules_in(representations)


def load(name: str) -> ModuleType:
    """Import the module of a representation.

    Raises:
        LorascopeError: there is no such representation.
    """
    if name not in REPRESENTATIONS:
        raise LorascopeError(
            f"representation '{name}' is not known; choose from: {', '.join(REPRESENTATIONS)}"
        )
    return load_module(representations, name)


def load_layer(name: str) -> ModuleType:
    """Import the module of a representation of layers.

    Raises:
        LorascopeError: there is no such representation, or it is one of matrices.
    """
    if not is_layered(name):
        raise LorascopeError(f"representation '{name}' is of single matrices; choose one of layers")
    return load(name)


def source_of(name: str) -> str:
    """Return the full name of the module that defines a representation."""
    return f"{representations.__name__}.{name}"


def is_layered(name: str) -> bool:
    """Tell whether a representation is of whole layers: its columns are named ``<layer>.delta/<feature>``."""
    return hasattr(load(name), "names")


def is_fitted(name: str) -> bool:
    """Tell whether a representation is fitted to the training part before it is extracted."""
    return is_layered(name) and load(name).FITTED


def is_scaled_by_layer(name: str) -> bool:
    """Tell whether probes are to keep the proportions of a layer's columns when they standardise them."""
    return is_layered(name) and getattr(load(name), "SCALED_BY_LAYER", False)


def parts(name: str) -> tuple[str, ...]:
    """Return the representations whose feature files make up this one: itself, unless it is a combination."""
    return getattr(load(name), "PARTS", (name,))


def of_matrices() -> tuple[str, ...]:
    """Return the representations of single matrices."""
    return tuple(name for name in REPRESENTATIONS if not is_layered(name))


def of_layers() -> tuple[str, ...]:
    """Return the representations of whole layers."""
    return tuple(name for name in REPRESENTATIONS if is_layered(name))


def feature_names(name: str) -> tuple[str, ...]:
    """Return the names of the features of one matrix, in order; ``<part>.<feature>`` for a combination."""
    module = load(name)
    if hasattr(module, "PARTS"):
        return tuple(f"{part}.{feature}" for part in module.PARTS for feature in feature_names(part))
    return module.NAMES


def feature_count(name: str) -> int:
    """Return the number of features of one matrix."""
    return len(feature_names(name))
