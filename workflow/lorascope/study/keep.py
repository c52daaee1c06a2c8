"""Trained probes of a finished study's cells, kept in files.

A study trains hundreds of probes and asks few of them again, so that training writes none. To keep one is to
train it again, which gives the same probe: a seed decides everything.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.data.split import TEST
from lorascope.errors import LorascopeError
from lorascope.probes.registry import run_probe
from lorascope.probes.runs import Run
from lorascope.probes.saved import ProbeCard, SavedProbe, save_probe
from lorascope.probes.train import CellInput, load_cell, probabilities_of
from lorascope.study import steps
from lorascope.study.config import load_section
from lorascope.study.finished import FinishedCell, FinishedStudy
from lorascope.study.provenance import provenance

# Another number of threads may round differently in the last digits; another probe differs by more.
LARGEST_GAP = 1e-4


def keep_probes(study: FinishedStudy, cell: FinishedCell, device: str, threads: int) -> Iterator[str]:
    """Train the seeds of a cell whose probes are not kept, and save them beside the cell's results.

    Args:
        study: a finished study.
        cell: one of its cells.
        device: ``cpu`` or a CUDA device; the one that the study trained on.
        threads: seeds trained at a time.

    Yields:
        One line for the log a seed.

    Raises:
        LorascopeError: a probe answers otherwise than the study did, or the study's features are gone.
    """
    if not (seeds := cell.missing_probes):
        yield f"{cell}: kept already"
        return
    names = {name: getattr(cell, name) for name in ("layer_set", "representation", "probe")}
    layers = study.layers(cell.layer_set)
    files = list(map(str, study.feature_files(cell.representation, layers)))
    given = load_cell({"dataset": study.results["dataset"], **names}, files, study.adapters_file, layers)
    settings = load_section(cell.probe, study.results["settings"][cell.probe])
    origin = provenance(cell.key, settings, steps.train(cell.probe, settings))
    answers = cell.seed_probabilities(TEST)
    for run in run_probe(cell.probe, given.parts, len(given.classes), settings, seeds, device, threads):
        gap = float(np.abs(probabilities_of(run, TEST).ravel() - answers[run.seed]).max())
        if not gap <= LARGEST_GAP:
            raise LorascopeError(
                f"{cell}, seed {run.seed}: trained again, its test probabilities differ from the study's by "
                f"up to {gap:.2g}; code, libraries or device are not the same: run snakemake again first"
            )
        save_probe(cell.probe_file(run.seed), saved_probe(run, given, origin))
        same = "bit for bit" if gap == 0 else f"to {gap:.1g}"
        yield f"{cell}, seed {run.seed}: kept; it answers as in the study, {same}"


def saved_probe(run: Run, given: CellInput, origin: dict) -> SavedProbe:
    """Put together what a run has learnt and what it learnt it from."""
    about = given.names, run.seed, given.classes, given.columns, given.is_scaled, run.temperature
    return SavedProbe(ProbeCard(*about, run.chosen, origin), given.scaling, run.state)


def kept_files(study: FinishedStudy, cells: Sequence[FinishedCell]) -> dict[str, list[str]]:
    """Return cell → where its probes lie below the results folder."""
    results = study.shared.parent
    return {
        str(cell): [cell.probe_file(seed).relative_to(results).as_posix() for seed in cell.seeds]
        for cell in cells
    }
