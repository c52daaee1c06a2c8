"""``make atlas``: writes one data file a model and the index, the same bytes every time.

A model named on the command line is built alone; the index is made of all files.
"""

import hashlib
import json
import sys
from collections import defaultdict
from importlib.metadata import version

from lorascope.adapters.atlas.maker.convert import check
from lorascope.adapters.atlas.maker.extra import EXTRA, OPTIONAL, aliases, before
from lorascope.adapters.atlas.maker.layers import Found, is_open, layers_of
from lorascope.adapters.atlas.maker.models import DIFFUSION, MODELS, Model
from lorascope.adapters.atlas.maker.names import Native, fused_names, ldm_prefixes, native_names, rows_of
from lorascope.adapters.atlas.maker.patterns import pack
from lorascope.adapters.atlas.reader import DATA, INDEX, indices_of
from lorascope.adapters.atlas.spelling import key_of
from lorascope.files import write_bytes

ANY_INDEX = "*"
DIGEST_MODULE = DATA.parent / "digest.py"


def main(names: list[str]) -> None:
    """Write the files of the named models, or of all, and the index."""
    for name in names or MODELS:
        write_bytes(DATA / f"{name}.json", text_of(describe(MODELS[name])).encode())
    described = {name: json.loads((DATA / f"{name}.json").read_text()) for name in MODELS}
    write_bytes(DATA / INDEX, text_of(index_of(described)).encode())
    write_bytes(DIGEST_MODULE, digest_module().encode())


def digest_module() -> str:
    """Return the module that carries the digest of the data files."""
    digest = hashlib.sha256()
    for path in sorted(DATA.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f'"""Written by ``make atlas``."""\n\nDIGEST = "{digest.hexdigest()[:16]}"\n'


def describe(model: Model) -> dict:
    """Build one model and return what its file holds.

    Raises:
        WrongNameError: a rule of its native names is wrong.
    """
    layers = layers_of(model)
    paths = [layer.path for layer in layers]
    prefixes = ldm_prefixes(paths) if model.native == "ldm" else {}
    modules = native_names(model.native, paths) if model.native and not prefixes else []
    checked = bool(model.native) and check(
        model.native, model.cls, layers, modules or _renamed(paths, prefixes)
    )
    others = fused_names(paths) if model.kind == DIFFUSION else []
    others += aliases(model.native, modules)
    rows = _layer_rows(model, layers)
    return {
        "name": model.name,
        "family": model.family or model.name,
        "kind": model.kind,
        "component": model.component,
        "optional": OPTIONAL.get(model.cls, ""),
        "class": model.cls,
        "arguments": json.loads(json.dumps(model.arguments, default=list)),
        "made_with": _library(model),
        "native_proved": checked,
        "layers": rows,
        "native": rows_of(modules),
        "aliases": rows_of(others) + before(model.cls, rows),
        "prefixes": [[native, canonical] for native, canonical in prefixes.items()],
    }


def _library(model: Model) -> str:
    name = "diffusers" if model.kind == DIFFUSION else "transformers"
    return f"{name} {version(name)}"


def _layer_rows(model: Model, layers: list[Found]) -> list[list]:
    is_free = is_open(model)

    def about(layer: Found) -> tuple:
        # A family's sizes vary, and the kernels of its convolutions with them.
        sizes = (layer.kind[0], 0, 0) if is_free else (layer.kind, layer.d_out, layer.d_in)
        return (*sizes, layer.role)

    packed = pack((layer.path, about(layer)) for layer in layers)
    rows = [[pattern, *value, ANY_INDEX if is_free else where] for pattern, value, where in packed]
    return rows + [[pattern, "l", 0, 0, role, ANY_INDEX] for pattern, role in EXTRA.get(model.cls, ())]


def _renamed(paths: list[str], prefixes: dict[str, str]) -> list[Native]:
    native = {canonical: name for name, canonical in prefixes.items()}

    def renamed(path: str) -> str:
        if path in native:
            return native[path]
        stem = next((stem for stem in native if path.startswith(f"{stem}.")), None)
        return native[stem] + path[len(stem) :] if stem else path

    return [Native(renamed(path), (path,)) for path in paths]


def index_of(described: dict[str, dict]) -> dict[str, list[str]]:
    """Return names of models, joined by spaces → keys of names that exactly these have."""
    owners = defaultdict(list)
    for name, model in described.items():
        for key in dict.fromkeys(keys_of(model)):
            owners[key].append(name)
    grouped = defaultdict(list)
    for key in sorted(owners):
        grouped[" ".join(owners[key])].append(key)
    return dict(sorted(grouped.items()))


def keys_of(model: dict) -> list[str]:
    """Return the keys of all spellings of a model's layers."""
    keys = [
        key_of(row[0].format(*[1] * 9))[0] for row in (*model["layers"], *model["native"], *model["aliases"])
    ]
    renamed = dict(model["prefixes"])
    paths = [path for row in model["layers"] for path in _expanded(row)] if renamed else []
    keys += [key_of(module.name)[0] for module in _renamed(paths, renamed)]
    optional = key_of(model["optional"])[0]
    return keys + [key.removeprefix(optional) for key in keys if optional and key.startswith(optional)]


def _expanded(row: list) -> list[str]:
    return [row[0].format(*index) for index in indices_of(row[-1])]


def text_of(entries: dict) -> str:
    """Return JSON with one row of a table a line: what changes shows in a difference."""
    lines = []
    for name, value in entries.items():
        if isinstance(value, list) and value:
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f" {json.dumps(name)}: [\n{rows}\n ]")
        else:
            lines.append(f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv[1:])
