"""Modules that are members of something because they lie in its folder, and because of nothing else.

A list of them would be in a file that all who look one up import: each new name would change every digest
of code.
"""

import pkgutil
from importlib import import_module
from types import ModuleType


def modules_in(package: ModuleType) -> tuple[str, ...]:
    """Return the names of the modules in a package's folder, sorted, without importing one of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def load_module(package: ModuleType, name: str) -> ModuleType:
    """Import one module of a package."""
    return import_module(f"{package.__name__}.{name}")
