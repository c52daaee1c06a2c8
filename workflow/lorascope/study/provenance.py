"""What a result file says about itself: key, settings, code, and what computed it."""

import platform
from importlib.metadata import version

from lorascope.computing import DEVICE, computing_versions, device_name
from lorascope.study.keys import code_digest

# These hand numbers on and change none.
_OTHERS = ("lorascope", "pyarrow", "datasets", "safetensors")


def provenance(key: str, settings: dict, modules: tuple[str, ...], device: str = "cpu") -> dict:
    """Return the metadata of a file made by ``modules`` with ``settings`` under ``key`` on a device."""
    others = {name: version(name) for name in _OTHERS}
    return {
        "key": key,
        "settings": settings,
        "code": code_digest(*modules),
        "versions": {**others, **computing_versions(), "python": platform.python_version()},
        DEVICE: device_name(device),
    }
