"""Hold every gate against dense and uniform training: at equal epochs, at equal time, in energy and FLOPs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from scipy import stats

from lorascope.files import atomic_path, write_json, write_table
from lorascope.sparse.measures import CLOCKS, DIFFERENCES, SAVED, SHARES, differences, measures
from lorascope.sparse.runs import Run, read_runs
from lorascope.stats.intervals import (
    CONFIDENCE,
    Interval,
    seeds_difference_interval,
    seeds_interval,
    seeds_ratio_interval,
)
from lorascope.stats.paired import holm

DENSE, UNIFORM = "dense", "uniform"
COMPARISON_FILE = "comparison.json"
CURVES = ("train_loss", "validation_accuracy", "activation_rate", "threshold", "energy_store")
CURVES += ("samples_trained", "samples_skipped", *CLOCKS)
FACTS = ("settings", "classes", "image_shape", "training_samples", "validation_samples", "test_samples")
FACTS += ("parameters", "device", "threads", "precision", "flops_per_sample", "images")


def write_comparison(folders: Sequence[str | Path], out: str | Path, provenance: dict) -> None:
    """Compare runs; write ``comparison.json``, and its table as parquet and CSV, one row a gate.

    Raises:
        LorascopeError: as :func:`lorascope.sparse.runs.read_runs`.
    """
    runs, problems = read_runs(folders)
    comparison, out = compare_runs(runs, problems), Path(out)
    table = pa.Table.from_pylist(comparison["gates"])
    write_table(out / "comparison.parquet", table, provenance)
    with atomic_path(out / "comparison.csv") as temp:
        pa_csv.write_csv(table, temp)
    # Last: it is what the workflow waits for.
    write_json(
        out / COMPARISON_FILE, {**comparison, "finished": _finished(folders), "provenance": provenance}
    )


def compare_runs(runs: list[Run], problems: list[dict[str, str]]) -> dict:
    """Return the comparison as plain values.

    ``gates``: one record a gate, in the order of the runs: of each measure ``_mean``, ``_low``, ``_high``
    (Student's t over seeds, within the measure's bounds), of each difference also ``_p`` (paired t-test) and
    ``_p_holm`` (Holm over the gates). Means of times, of operations and of what is saved are geometric: these
    are ratios. ``best``: of :func:`best_gate`. ``runs``: the measures of every run. ``curves``: gate → mean
    over seeds by epoch.
    """
    answers = _answers(runs[0])
    gates = list(dict.fromkeys(run.gate for run in runs))
    by_name = {(run.gate, run.seed): run for run in runs}
    rates = {gate: np.mean([_rate(run) for run in runs if run.gate == gate]) for gate in gates}
    records, rows = [], []
    for gate in gates:
        own = sorted((run for run in runs if run.gate == gate), key=lambda run: run.seed)
        uniform = _nearest_uniform(gate, rates)
        dense_runs, uniform_runs = (
            [by_name.get((name, run.seed)) for run in own] for name in (DENSE, uniform)
        )
        values = [
            {**measures(run, dense), **differences(run, dense, other)}
            for run, dense, other in zip(own, dense_runs, uniform_runs, strict=True)
        ]
        rows += [{"gate": gate, "seed": run.seed, **row} for run, row in zip(own, values, strict=True)]
        records.append({"gate": gate, "runs": len(own), "uniform": uniform, **_over_seeds(values, answers)})
    _add_holm(records)
    return {
        "gates": records,
        "best": best_gate(records, rows, answers),
        "runs": rows,
        "curves": {gate: _curves([run for run in runs if run.gate == gate]) for gate in gates},
        "problems": problems,
        "seeds": sorted({run.seed for run in runs}),
        "facts": {name: runs[0].about[name] for name in FACTS},
        "versions": runs[0].about["provenance"].get("versions", {}),
    }


def _finished(folders: Sequence[str | Path]) -> str:
    """Return the day, in UTC, on which the last run ended."""
    written = [
        path.stat().st_mtime for path in (Path(folder, "run.json") for folder in folders) if path.exists()
    ]
    return datetime.fromtimestamp(max(written), UTC).date().isoformat()


def _rate(run: Run) -> float:
    return run.total("samples_trained") / run.candidates


def _nearest_uniform(gate: str, rates: dict[str, float]) -> str | None:
    """Return the uniform gate that activates most nearly as much; dense and the uniform ones need none."""
    if gate.partition("@")[0] in (DENSE, UNIFORM):
        return None
    uniform = [name for name in rates if name.partition("@")[0] == UNIFORM]
    return min(uniform, key=lambda name: abs(rates[name] - rates[gate]), default=None)


def best_gate(records: list[dict], rows: list[dict], answers: dict[str, int]) -> dict | None:
    """Return the gate that reaches dense's accuracy soonest, among those that do with every seed.

    Returns:
        ``gate``, ``chosen_among`` (gates but dense), and of ``reach_share_seconds`` and ``epochs_vs_dense``
        ``_mean``, ``_low`` and ``_high``. The best of several owes something to luck: its intervals are at
        Bonferroni's level over the gates that it was chosen among. None where no gate reaches it.
    """
    others = [record for record in records if record["gate"] != DENSE]
    reaching = [record for record in others if record["reach_share_seconds_mean"] is not None]
    if not reaching:
        return None
    gate = min(reaching, key=lambda record: record["reach_share_seconds_mean"])["gate"]
    own = [row for row in rows if row["gate"] == gate]
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    found = {"gate": gate, "chosen_among": len(others)}
    for name in ("reach_share_seconds", "epochs_vs_dense"):
        found |= _estimate(name, np.array([row[name] for row in own]), answers, confidence)
    return found


def _answers(run: Run) -> dict[str, int]:
    """Return of how many answers, or samples, each share is."""
    candidates = int(run.candidates)
    counts = {"activation_rate": candidates, "settled_rate": candidates}
    for part, names in (
        ("validation", ("validation_accuracy", "epochs_vs", "time_vs")),
        ("test", ("test_accuracy", "test_vs")),
    ):
        counts |= dict.fromkeys(names, run.about[f"{part}_samples"])
    return counts


def _over_seeds(values: list[dict[str, float | None]], answers: dict[str, int]) -> dict[str, float | None]:
    """Return mean and interval of every measure; all None where a seed lacks it: luck chose the others."""
    record = {}
    for name in values[0]:
        own = [row[name] for row in values]
        record[f"{name}_count"] = sum(value is not None for value in own)
        whole = None not in own
        absent = {f"{name}_{end}": None for end in ("mean", "low", "high")}
        record |= _estimate(name, np.array(own), answers) if whole else absent
        if name in DIFFERENCES:
            record[f"{name}_p"] = _paired_p(own) if whole else None
    return record


def _estimate(name: str, values: np.ndarray, answers: dict[str, int], confidence: float = CONFIDENCE) -> dict:
    """Return the mean of a measure over seeds and its interval."""
    if name in SHARES:
        mean, interval = np.mean(values), seeds_interval(values, answers[name])
    elif name in DIFFERENCES:
        of = answers[name.rpartition("_")[0]]
        mean, interval = np.mean(values), seeds_difference_interval(values, of, confidence)
    else:
        mean, interval = _geometric(1 - values if name in SAVED else values, confidence)
        if name in SAVED:
            mean, interval = 1 - mean, _complement(interval)
    return {f"{name}_mean": float(mean), f"{name}_low": interval.low, f"{name}_high": interval.high}


def _geometric(values: np.ndarray, confidence: float) -> tuple[float, Interval]:
    mean = float(np.exp(np.mean(np.log(values)))) if values.min() > 0 else 0.0
    return mean, seeds_ratio_interval(values, confidence)


def _complement(interval: Interval) -> Interval:
    if interval.low is None:
        return interval
    return Interval(1 - interval.high, 1 - interval.low, interval.method)


def _paired_p(differences: list[float]) -> float | None:
    """Two-sided paired t-test; undefined for one seed, or where all seeds differ by the same."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _add_holm(records: list[dict]) -> None:
    for name in DIFFERENCES:
        tested = [record for record in records if record[f"{name}_p"] is not None]
        adjusted = holm([record[f"{name}_p"] for record in tested])
        for record in records:
            record[f"{name}_p_holm"] = None
        for record, p in zip(tested, adjusted, strict=True):
            record[f"{name}_p_holm"] = p


def _curves(runs: list[Run]) -> dict[str, list[float | None]]:
    """Return column → mean over seeds of each epoch; ``_std`` beside it."""
    curves = {"epoch": runs[0].epochs["epoch"].tolist()}
    for name in CURVES:
        stacked = np.stack([run.epochs[name] for run in runs])
        curves[name] = _plain(stacked.mean(axis=0))
        curves[f"{name}_std"] = _plain(stacked.std(axis=0, ddof=1) if len(runs) > 1 else stacked[0] * 0)
    saved = np.stack([1 - run.epochs["energy_used"] / run.epochs["energy_dense"] for run in runs])
    spent = [sum(run.epochs[f"flops_{part}"] for part in ("forward", "backward", "scoring")) for run in runs]
    curves["energy_saved"] = _plain(saved.mean(axis=0))
    curves["flops"] = _plain(np.stack(spent).mean(axis=0))
    curves["flops_scoring"] = _plain(np.stack([run.epochs["flops_scoring"] for run in runs]).mean(axis=0))
    return curves


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
