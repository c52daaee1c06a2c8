"""What of a study is done: a state per cell, read from files alone, so it works while a run is going."""

from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import read_metadata
from lorascope.logs import error_in
from lorascope.report.numbers import seconds
from lorascope.study import steps
from lorascope.study.durations import all_recorded
from lorascope.study.jobs import all_jobs, feature_jobs, shared_jobs
from lorascope.study.keys import code_digest
from lorascope.study.lock import run_here
from lorascope.study.plan import Cell, Plan
from lorascope.wording import plural

DONE, PARTIAL, FAILED, STALE, MISSING = "done", "partial", "failed", "stale", "missing"


@dataclass(frozen=True)
class CellState:
    """State of one cell.

    Attributes:
        state: ``done``, ``partial`` (some seeds), ``failed`` (its log, or that of a job that it waits for,
            holds an error), ``stale`` (results of other settings or code), ``missing``.
        seeds_done, seeds: finished and planned runs.
        why: for stale and failed cells.
    """

    dataset: str
    representation: str
    layer_set: str
    probe: str
    state: str
    seeds_done: int
    seeds: int
    why: str = ""


def cell_states(plan: Plan) -> list[dict]:
    """Return the state of every cell of the study, as plain JSON values."""
    return [asdict(_state(plan, cell)) for dataset in plan.config["dataset"] for cell in plan.cells(dataset)]


def step_counts(plan: Plan) -> list[dict]:
    """Return how many jobs of each step are done: dataset, step, done, jobs."""
    counts: dict[tuple[str, str], list[bool]] = {}
    for dataset in plan.config["dataset"]:
        for job in all_jobs(plan, dataset):
            counts.setdefault((dataset, job.step), []).append(job.is_done)
    return [
        {"dataset": dataset, "step": step, "done": sum(done), "jobs": len(done)}
        for (dataset, step), done in counts.items()
    ]


def run_state(plan: Plan) -> dict:
    """Return what is known of the run in the working directory, as plain JSON values.

    Returns:
        ``began`` and ``cores`` of a run that is going on, else None; ``left_seconds``: what the jobs that are
        not done should take, by the records of finished jobs of their kind, on these cores (on one where no
        run is going on); None where no job has finished yet.

    Raises:
        LorascopeError: neither results nor a run is here.
    """
    run = run_here()
    if run is None and not Path(plan.results).exists():
        raise LorascopeError(
            f"no study here: {Path(plan.results).absolute()} does not exist; go to the folder of a study, "
            "or start one with `snakemake --cores all`"
        )
    left = [
        job.kind for dataset in plan.config["dataset"] for job in all_jobs(plan, dataset) if not job.is_done
    ]
    work = all_recorded().left(left)
    cores = (run and run.cores) or 1
    return {
        "began": run and run.began,
        "cores": run and run.cores,
        "left_seconds": None if work is None else round(work / min(cores, max(len(left), 1)), 1),
    }


def run_line(run: dict) -> str:
    """Return the state of the run in words."""
    left = run["left_seconds"]
    about = "how long is left is not known yet" if left is None else f"about {seconds(left)} left"
    if run["began"]:
        began = datetime.fromisoformat(run["began"])
        gone = (datetime.now().astimezone() - began).total_seconds()
        cores = f" on {plural(run['cores'], 'core')}" if run["cores"] else ""
        return f"Running since {began:%Y-%m-%d %H:%M} ({seconds(gone)}){cores}; {about}."
    if left == 0:
        return "All of it is done."
    return "No run is going on" + (f"; {about} for one core." if left else ".")


def _state(plan: Plan, cell: Cell) -> CellState:
    seeds = sum(block.last - block.first + 1 for block in cell.blocks)
    finished = _finished_seeds(cell)
    state, why = _judge(plan, cell, finished, seeds)
    return CellState(
        cell.dataset, cell.representation, cell.layer_set, cell.probe, state, finished, seeds, why
    )


def _finished_seeds(cell: Cell) -> int:
    return sum(
        Path(cell.folder, "seeds", f"seed-{seed}.runs.parquet").exists()
        for block in cell.blocks
        for seed in range(block.first, block.last + 1)
    )


def _judge(plan: Plan, cell: Cell, finished: int, seeds: int) -> tuple[str, str]:
    if all(Path(path).exists() for path in cell.files):
        return DONE, ""
    if error := _error(plan, cell):
        return FAILED, error
    if finished:
        return PARTIAL, f"{finished} of {seeds} seeds"
    if other := _newest_other(cell):
        return STALE, _difference(plan, cell, other)
    return MISSING, ""


def _error(plan: Plan, cell: Cell) -> str:
    """Return the error that keeps a cell from being done: its own, or that of a job it waits for."""
    for block, runs in zip(cell.blocks, cell.runs, strict=True):
        if not Path(runs).exists() and (error := error_in(cell.log(block))):
            return error
    for job in chain(shared_jobs(plan, cell.dataset), feature_jobs(plan, cell.dataset, cell.features)):
        if error := job.error():
            return f"{job.step}: {error}"
    return ""


def _newest_other(cell: Cell) -> Path | None:
    """Return a result of this cell under another key, the newest."""
    own = Path(cell.folder)
    # Under its own key there may be other seeds: those are not stale.
    found = [path for path in own.parent.glob("*/seeds/*.runs.parquet") if path.parents[1] != own]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _difference(plan: Plan, cell: Cell, other: Path) -> str:
    stored = read_metadata(other)
    settings = plan.config[cell.probe]
    changed = [name for name in settings if stored.get("settings", {}).get(name) != settings[name]]
    if changed:
        return f"{cell.probe} settings changed: {', '.join(changed)}"
    if stored.get("code") != code_digest(*steps.train(cell.probe, settings)):
        return "code of the probe changed"
    return "data, labels, features or layer set changed"


def print_grid(states: list[dict], steps: list[dict]) -> None:
    """Print the steps, and a grid per data set and probe: representation × layer set."""
    from rich.console import Console

    console = Console()
    for dataset in dict.fromkeys(state["dataset"] for state in states):
        counts = [
            f"{step['step']} {step['done']}/{step['jobs']}" for step in steps if step["dataset"] == dataset
        ]
        console.print(f"{dataset}: {', '.join(counts)}")
    for dataset, probe in dict.fromkeys((state["dataset"], state["probe"]) for state in states):
        mine = [state for state in states if (state["dataset"], state["probe"]) == (dataset, probe)]
        console.print(_grid(f"{dataset}, {probe}", mine))
    done = sum(state["state"] == DONE for state in states)
    console.print(f"{done} of {len(states)} cells are done.")


def _grid(title: str, states: list[dict]):
    from rich.table import Table

    table = Table(title=title)
    table.add_column("representation")
    layer_sets = list(dict.fromkeys(state["layer_set"] for state in states))
    for layer_set in layer_sets:
        table.add_column(layer_set)
    for representation in dict.fromkeys(state["representation"] for state in states):
        row = {s["layer_set"]: s for s in states if s["representation"] == representation}
        table.add_row(representation, *(_cell_text(row[layer_set]) for layer_set in layer_sets))
    return table


_STYLES = {DONE: "green", PARTIAL: "yellow", FAILED: "red", STALE: "magenta", MISSING: "dim"}


def _cell_text(state: dict) -> str:
    from rich.markup import escape

    seeds = f"{state['seeds']} seed{'s' if state['seeds'] > 1 else ''}"
    words = {DONE: seeds, MISSING: "missing"}
    text = words.get(state["state"], f"{state['state']}: {state['why']}")
    # An error message may hold brackets.
    return f"[{_STYLES[state['state']]}]{escape(text)}[/]"
