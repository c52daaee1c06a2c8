"""The lines that end a run: for each name that was asked for, what was found or made, and where it lies."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lorascope.features.registry import LAYER_REPRESENTATIONS, REPRESENTATIONS
from lorascope.files import read_json, read_table
from lorascope.report.numbers import plural
from lorascope.report.text import score_line, verdict, where_line
from lorascope.study.curves import all_curves
from lorascope.study.plan import Cell, Plan
from lorascope.study.sparse_plan import SparsePlan


def answers(plan: Plan, sparse: SparsePlan, targets: Sequence[str]) -> list[str]:
    """Return the answer of each target: names or paths; none at all stands for the default target."""
    lines = [line for target in targets or ["report"] for line in _answer(plan, sparse, target)]
    return list(dict.fromkeys(lines))


def _answer(plan: Plan, sparse: SparsePlan, target: str) -> Iterator[str]:
    datasets = plan.config["dataset"]
    named: dict[str, Callable[[], Iterator[str]]] = {
        "report": lambda: _verdicts(plan, datasets),
        "summary": lambda: _verdicts(plan, datasets),
        "features": lambda: _features(plan),
        "importance": lambda: _layers(plan),
        "scaling": lambda: _curves(plan),
        "sparse": lambda: _gates(sparse),
    }
    if target in named:
        yield from named[target]()
    elif target in plan.config["datasets"]:
        yield from _verdicts(plan, [target])
    elif target in REPRESENTATIONS + LAYER_REPRESENTATIONS:
        yield from _scores(plan, target)
    elif dataset := next(
        (name for name in plan.config["datasets"] if target in final_files(plan, name)), None
    ):
        yield from _verdicts(plan, [dataset])
    else:
        yield f"Made: {target}"


def final_files(plan: Plan, dataset: str) -> tuple[str, str]:
    """Return the files that hold the answer for a data set: its tables and its page."""
    return plan.named(dataset, "summary", "results.json"), plan.named(dataset, "report", "index.html")


def _verdicts(plan: Plan, datasets: Sequence[str]) -> Iterator[str]:
    for dataset in datasets:
        table, page = map(Path, final_files(plan, dataset))
        yield from verdict(table.parent, page if page.exists() else None).splitlines()
        if not page.exists():
            yield f"Tables: {table.parent}"


def _scores(plan: Plan, representation: str) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        cells = plan.cells(dataset, [representation])
        yield f"{dataset}: test accuracy of {representation}"
        for record in _records(plan, dataset, cells):
            yield f"  {score_line(record)}"
        yield f"Files: {plan.folder(dataset, 'probes', representation)}"


def _records(plan: Plan, dataset: str, cells: Sequence[Cell]) -> list[dict]:
    from lorascope.stats.cells import read_cell
    from lorascope.stats.tables import cells_table

    adapters = _adapters(plan, dataset)
    found = [read_cell(dataset, plan.cell_entry(cell), adapters) for cell in cells]
    return cells_table(found, adapters).to_pylist()


def _adapters(plan: Plan, dataset: str):
    from lorascope.stats.adapters import read_adapters

    folder = plan.label_folder(dataset)
    return read_adapters(f"{folder}/adapters.parquet", read_json(f"{folder}/manifest.json"))


def _features(plan: Plan) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        files = {path for cell in plan.cells(dataset) for path in cell.features}
        of = plural(len(plan.config["representations"]), "representation")
        yield f"{dataset}: {of} in {plural(len(files), 'file')}"
        yield f"Files: {plan.folder(dataset, 'features')}"


def _layers(plan: Plan) -> Iterator[str]:
    from lorascope.report.summary import Summary
    from lorascope.stats.importance import layer_ablations_table, layers_table, read_answers
    from lorascope.study.analyses import analyses

    for dataset in plan.config["dataset"]:
        found = analyses(plan, dataset)
        ranked = found.get("importance")
        answers = read_answers(dataset, ranked and ranked.files, _adapters(plan, dataset))
        told = {"layers": layers_table(answers), "layer_ablations": layer_ablations_table(answers)}
        line = where_line(Summary({name: table.to_pylist() for name, table in told.items()}))
        yield f"{dataset}: {line}" if line else f"{dataset}: no layers are ranked (importance.representation)"
        for analysis in found.values():
            yield f"Files: {Path(next(iter(analysis.files.values()))).parent}"


def _curves(plan: Plan) -> Iterator[str]:
    from lorascope.report.scaling import curve_lines

    folder = Path(plan.study_folder, "scaling")
    yield from curve_lines(read_table(folder / "sizes.parquet").to_pylist())
    yield f"Figure: {folder / 'sizes.svg'}, {plural(len(all_curves(plan)), 'curve')}"


def _gates(sparse: SparsePlan) -> Iterator[str]:
    from lorascope.sparse.report import read_comparison
    from lorascope.sparse.verdict import headline

    yield headline(read_comparison(sparse.comparison))
    yield f"Page: {sparse.page}"
