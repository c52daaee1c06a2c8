"""From the result files of a study's cells to its summary: tables (parquet and CSV) and results.json."""

import io
import math
import platform
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lorascope.adapters.layer_sets import reference_layer_set
from lorascope.computing import computing_versions
from lorascope.files import read_json, write_bytes, write_json, write_table
from lorascope.stats import comparisons, controls, details, drops, importance, passport, tables
from lorascope.stats.adapter_map import adapter_map_table, no_map
from lorascope.stats.adapters import Adapters, read_adapters
from lorascope.stats.baseline import PERMUTATIONS
from lorascope.stats.cells import (
    CURVES,
    DONE,
    IDENTITY,
    NOT_MEASURABLE,
    TESTED_PARTS,
    Cell,
    read_cell,
    status_of,
)
from lorascope.stats.columns import finite_table, test_counts
from lorascope.stats.intervals import CONFIDENCE, RESAMPLING_SEED
from lorascope.stats.scores import CALIBRATION_BINS
from lorascope.stats.sizes import sizes_table
from lorascope.stats.versions import versions_of

RESULTS_FILE, PASSPORT_FILE = "results.json", "passport.json"
# Rises when a reader of results.json would have to change.
RESULTS_FORMAT = 4
# Tables that stand in results.json as lists of records, beside the cells.
LISTED = ("drops", "mean_drops", "comparisons", "runs", "layers", "layer_groups", "layer_ablations")
LISTED += ("adapter_map", "sizes")
LISTED += ("controls", "random_layers", "invariance")
PACKAGES = ("lorascope", "pyarrow")

METHODS = {
    "corrections": (
        "each interval is at 95 % by itself, those of places excepted; p-values are corrected where a column "
        "ends in _holm, over what it says. Not corrected: rank_p of random layers, p of the "
        "controls majority, norms and recipe (each must be beaten by itself)"
    ),
    "seeds_interval": (
        "Student's t over seeds as a score interval (Wilson 1927), which stays a share; seeds that agree may "
        "differ by less than one answer. The luck of a training run, on these test adapters"
    ),
    "adapters_interval": (
        "Wilson (1927) with the effective number of test units (Korn & Graubard 1998; Dean & Pagano 2015): "
        "variance of the ratio's residuals (Cochran 1977) over units, Student's t where they differ in size"
    ),
    "drop_interval": (
        "adjusted Wald (Agresti & Min 2005) on the ratio's residuals over test units, paired; the relative "
        "drop: Fieller (1954) on the same. At least 95 % where fewer than about four units differ"
    ),
    "drop_test": (
        "exact two-sided sign-flip randomisation test over test units (Fisher 1935; null by convolution, "
        "Pagano & Tritchler 1983); the exact McNemar test when there is one seed"
    ),
    "drop_correction": (
        "Holm (1979) over the representations of one probe and layer set; of mean drops, over their table"
    ),
    "comparison": (
        "paired, on the same test units, which all cells share: test and interval as for the drop, "
        "Holm (1979) over the pairs of one layer set and probe"
    ),
    "permutation": (
        "the same answers against permuted labels (Ojala & Garriga 2010, test 1; "
        f"{PERMUTATIONS} permutations, one-sided), Holm (1979) over all cells"
    ),
    "effect_size": "Cohen's (1988) h between two accuracies; d_z over the units' paired differences",
    "calibration": (
        f"expected calibration error over {CALIBRATION_BINS} equal bins (Guo et al. 2017); Brier (1950) "
        "score summed over the classes; the loss is the mean negative log-likelihood in nats"
    ),
    "controls": (
        "norms and recipe: ridge or a forest of 300 trees, whichever is better on validation, against the "
        "best cell on the same adapters (interval as for the drop; each is a claim by itself: not "
        "corrected); permuted: ridge on permuted labels, one-sided t-test over the draws that the accuracy "
        "averaged over classes is 1 / classes, Holm over representations and layer sets"
    ),
    "random_layers": (
        "ridge on all layers, on the layer set, and on random sets of as many layers; Student's t of one "
        "more draw, Holm over the rows; beside it the exact two-sided rank of the layer set among them "
        "(Davison & Hinkley 1997), not corrected"
    ),
    "invariance": (
        "factors of sampled adapters are changed in ways that leave the update alone, or rounded; drift is "
        "the root mean square of the features' movement in standard deviations between adapters, worst layer"
    ),
    "best": "the cell with the highest mean validation accuracy; the test part decides nothing",
    "layer_ranking": (
        "closed-form ridge on one layer at a time; answers to adapters of training and validation part that "
        "are left out (stratified folds, groups whole), the penalty by leave-one-out inside the rest (Golub, "
        "Heath & Wahba 1979); a rank's interval counts the layers that are measurably better, and worse, of "
        "all others at once (Mogstad et al. 2024, paired intervals at Bonferroni's level): at least 95 %"
    ),
    "layer_ablation": (
        "the same probe on the test part, which had no say in the ranking; test and interval as for the drop "
        "against all layers, Holm (1979) over the rows of the table"
    ),
    "adapter_map": (
        "kernel principal components (Schölkopf, Smola & Müller 1998) of the training part's exact ΔW "
        "kernel, every layer counting the same; the others are only placed"
    ),
    "chance": "test accuracy of always naming the most frequent class of the training part",
}


def aggregate(study: dict, out_dir: str | Path) -> Path:
    """Write the summary of a study's cells on one data set.

    Args:
        study: ``dataset`` (name); ``cells``, each with layer_set, representation, probe, and ``runs``,
            ``details`` and ``logs`` (paths, one per block of seeds); ``adapters`` and ``manifest`` (paths);
            ``settings``; ``keys``; ``analyses``, what is computed beside the cells: name → ``files`` (name →
            path) and ``log``; ``curves``, learning curves over sizes (paths, may be left out);
            where they are made also ``passport``, ``controls``, ``control_log`` and ``invariance`` (paths).
        out_dir: folder of the tables that docs/metrics.md describes (.parquet and .csv) and results.json,
            which holds all of them but the answers to single adapters.

    Returns:
        The path of results.json.

    Raises:
        LorascopeError: a result file is unreadable or does not belong to the data set. Absent files are no
            error: their cell is reported as missing, or failed.
    """
    out_dir = Path(out_dir)
    manifest = read_json(study["manifest"])
    adapters = read_adapters(study["adapters"], manifest)
    curves = study.get("curves", [])
    cells = [read_cell(study["dataset"], entry, adapters) for entry in study["cells"]]
    beside = study.get("analyses", {})
    ranked = importance.read_answers(study["dataset"], beside.get("importance", {}).get("files"), adapters)
    placed = beside.get("adapter_map", {}).get("files")
    reference = reference_layer_set(cell.layer_set for cell in cells)
    answers, known = controls.read_answers(study), passport.read_passport(study)
    certificate = passport.read_invariance(study)
    summary = {
        "passport": passport.passport_table(known),
        "controls": controls.controls_table(cells, adapters, answers),
        "random_layers": controls.random_layers_table(cells, adapters, answers, reference),
        "invariance": passport.invariance_table(study["dataset"], certificate, adapters.sanity),
        "runs": tables.runs_table(cells, adapters),
        "cells": tables.cells_table(cells, adapters),
        "drops": drops.drops_table(cells, adapters),
        "mean_drops": drops.mean_drops_table(cells, adapters),
        "comparisons": comparisons.comparisons_table(cells, adapters),
        "curves": details.curves_table(cells, adapters),
        "confusions": details.confusions_table(cells, adapters),
        "classes": details.classes_table(cells, adapters),
        "reliability": details.reliability_table(cells, adapters),
        "answers": details.answers_table(cells, adapters),
        "layers": importance.layers_table(ranked),
        "layer_groups": importance.layer_groups_table(ranked),
        "layer_ablations": importance.layer_ablations_table(ranked),
        "adapter_map": adapter_map_table(study["dataset"], placed, adapters.sanity),
        "sizes": sizes_table(curves, adapters),
    }
    summary = {name: finite_table(table) for name, table in summary.items()}
    results = _head(study, manifest, adapters) | {
        "reference": reference,
        "passport": known,
        "curves": {"planned": len(curves), "absent": sum(not Path(path).exists() for path in curves)},
        "best": _best(summary["cells"]),
        "made_with": versions_of(path for entry in study["cells"] for path in entry["runs"]),
        "analyses": {name: _analysis_status(name, entry) for name, entry in beside.items()},
        **_body(summary, cells, adapters),
    }
    if known is not None:
        write_json(out_dir / PASSPORT_FILE, known)
    stamp = {name: results[name] for name in ("settings", "keys", "versions", "sanity")}
    for name, table in summary.items():
        table = without_negative_zeros(table)
        write_table(out_dir / f"{name}.parquet", table, stamp)
        write_bytes(out_dir / f"{name}.csv", csv_bytes(table))
    write_json(out_dir / RESULTS_FILE, _plain(results))
    return out_dir / RESULTS_FILE


def _head(study: dict, manifest: dict, adapters: Adapters) -> dict:
    return {
        "format": RESULTS_FORMAT,
        "dataset": study["dataset"],
        "manifest": manifest,
        "settings": study["settings"],
        "keys": study["keys"],
        "versions": _versions(),
        "methods": {**METHODS, "confidence": CONFIDENCE, "resampling_seed": RESAMPLING_SEED},
        "classes": list(adapters.classes),
        "unit": adapters.unit,
        "duplicates": adapters.duplicates,
        "chance": adapters.chance,
        **test_counts(adapters),
    }


def _analysis_status(name: str, entry: dict) -> dict[str, str]:
    status, reason = status_of(list(entry["files"].values()), entry["log"])
    if name == "adapter_map" and status == DONE and (nothing := no_map(entry["files"])):
        status, reason = NOT_MEASURABLE, nothing
    return {"status": status, "reason": reason}


def _best(cells: pa.Table) -> dict[str, str] | None:
    """Identity of the cell with the best validation accuracy; ties go to the smaller validation loss."""
    rows = [row for row in cells.to_pylist() if row["validation_accuracy_mean"] is not None]
    if not rows:
        return None
    best = min(rows, key=lambda row: (-row["validation_accuracy_mean"], row["validation_loss_mean"]))
    return {name: best[name] for name in IDENTITY}


def _body(summary: dict[str, pa.Table], cells: list[Cell], adapters: Adapters) -> dict:
    """The tables as lists of records; what belongs to one cell lies inside its record."""
    records = summary["cells"].to_pylist()
    for record, cell in zip(records, cells, strict=True):
        record["seed_values"] = cell.seeds.tolist()
        record["curves"] = _curves(details.curves_table([cell], adapters))
        record["confusions"] = {
            part: cell.confusions[part].mean(axis=0).tolist() for part in TESTED_PARTS if cell.found
        }
        record["per_class"] = _part_of(details.classes_table([cell], adapters))
        record["reliability"] = _part_of(details.reliability_table([cell], adapters))
    return {"cells": records, **{name: summary[name].to_pylist() for name in LISTED}}


def _part_of(table: pa.Table) -> list[dict]:
    """Records without the columns that the cell's record has already."""
    return table.drop_columns([*IDENTITY, "sanity"]).to_pylist()


def _curves(table: pa.Table) -> dict[str, list]:
    wanted = ["epoch", "seeds", *(f"{name}_{suffix}" for name in CURVES for suffix in ("mean", "std"))]
    return table.select(wanted).to_pydict()


def csv_bytes(table: pa.Table) -> bytes:
    """Return a table as CSV, which has no lists: their values stand one after the other, with spaces."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            words = table.column(index).cast(pa.list_(pa.string()))
            table = table.set_column(index, field.name, pc.binary_join(words, " "))
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue()


def without_negative_zeros(table: pa.Table) -> pa.Table:
    """Return the table with 0 for −0, which sums and negations leave behind and files would show."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_floating(field.type):
            table = table.set_column(index, field, pc.add(column, 0.0))
        elif pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            lists = [_tidy_lists(chunk) for chunk in column.chunks]
            table = table.set_column(index, field, pa.chunked_array(lists, field.type))
    return table


def _tidy_lists(lists: pa.ListArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(
        lists.offsets, pc.add(lists.values, 0.0), lists.type, mask=lists.is_null()
    )


def _plain(value: object) -> object:
    """Make a value JSON: what is not a number (a diverged loss) becomes null, and −0 becomes 0."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    return value


def _versions() -> dict[str, str]:
    own = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **own, **computing_versions()}
