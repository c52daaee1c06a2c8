"""All controls of a data set: one table of answers, and a certificate of every representation."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lorascope.controls.few import MAJORITY, NORMS, RECIPE, majority, norms, recipe
from lorascope.controls.layers import PERMUTED, RANDOM_LAYERS, LayerControls
from lorascope.controls.parts import ANSWERS_SCHEMA, read_split
from lorascope.data.labels import training_rows
from lorascope.data.prepare import NORMS_FILE
from lorascope.features.certify import certify, sample_layers
from lorascope.files import read_table, write_json, write_table
from lorascope.passport.scan import open_groups

CONTROLS = (MAJORITY, PERMUTED, NORMS, RECIPE, RANDOM_LAYERS)
CONTROLS_FILE, INVARIANCE_FILE = "controls.parquet", "invariance.json"


def run_controls(
    adapters: str,
    norms_file: str,
    features: dict[str, Sequence[str]],
    layer_sets: dict[str, Sequence[str]],
    settings: dict,
    out_dir: str | Path,
    provenance: dict,
) -> Iterator[str]:
    """Write ``controls.parquet``: a row a control, representation, layer set and draw, with its answers.

    Args:
        adapters: label and split table.
        norms_file: ``norms.parquet`` of the passport.
        features: representation → feature files.
        layer_sets: name → layers; the first is the reference.
        settings: ``controls`` (names of :data:`CONTROLS`), ``draws``, ``penalties`` (of ridge).
        out_dir: folder to write into.
        provenance: stored in the file, beside ``tested``: places of the tested adapters in the test part.

    Yields:
        A line for the log as each control is done.
    """
    wanted, penalties = settings["controls"], settings["penalties"]
    split = read_split(adapters)
    rows = [majority(split)] if MAJORITY in wanted else []
    if NORMS in wanted:
        rows += norms(norms_file, layer_sets, split, penalties)
        yield "norms: done"
    if RECIPE in wanted:
        rows += recipe(adapters, split, penalties)
        yield "recipe: done"
    of_layers = [name for name in (PERMUTED, RANDOM_LAYERS) if name in wanted]
    if of_layers:
        controls = LayerControls(layer_sets, split, penalties, settings["draws"])
        for representation, files in features.items():
            rows += controls.answers(representation, files, of_layers)
            yield f"{representation}: {' and '.join(of_layers)} done"
    table = pa.Table.from_pylist(rows, ANSWERS_SCHEMA)
    metadata = {**provenance, "controls": list(wanted), "tested": split.tested.tolist()}
    write_table(Path(out_dir) / CONTROLS_FILE, table, metadata)


def certify_representations(
    data_dir: str | Path, adapters: str, representations: Iterable[str], out_dir: str | Path, provenance: dict
) -> Iterator[str]:
    """Write ``invariance.json``: how each representation moves on some of the study's training adapters.

    Yields:
        A line for the log for each representation.
    """
    norms = read_table(Path(data_dir) / NORMS_FILE)
    of_layer = {layer: norms[layer].to_numpy() for layer in norms.column_names}
    layers = sample_layers(open_groups(data_dir), of_layer, training_rows(adapters))
    found = []
    for representation in representations:
        found.append(certify(representation, layers))
        yield f"{representation}: {_invariance_words(found[-1])}"
    certificate = {
        "adapters": max((len(factors) for factors in layers.values()), default=0),
        "layers": list(layers),
        "representations": found,
        "provenance": provenance,
    }
    write_json(Path(out_dir) / INVARIANCE_FILE, certificate)


def _invariance_words(certificate: dict) -> str:
    if certificate["invariant"] is None:
        return f"invariance not measurable: {certificate['reason']}"
    return "invariant to refactoring" if certificate["invariant"] else "not invariant to refactoring"
