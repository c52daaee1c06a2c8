"""What a result file says about itself: key, settings, code, and the versions that made it."""

import platform
from importlib.metadata import version

from lorascope.study.keys import code_digest

RECORDED = ("lorascope", "numpy", "scipy", "scikit-learn", "torch", "pyarrow", "datasets", "safetensors")


def provenance(key: str, settings: dict, modules: tuple[str, ...]) -> dict:
    """Return the metadata of a file made by ``modules`` with ``settings`` under ``key``."""
    versions = {name: version(name) for name in RECORDED}
    return {
        "key": key,
        "settings": settings,
        "code": code_digest(*modules),
        "versions": {**versions, "python": platform.python_version()},
    }
