"""The lines that end a run: for each name that was asked for, what was found or made, and where it lies."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lorascope.features.registry import REPRESENTATIONS
from lorascope.files import read_json
from lorascope.report.numbers import plural
from lorascope.report.summary import Summary
from lorascope.report.text import score_line, where_line
from lorascope.stats.adapters import Adapters, read_adapters
from lorascope.stats.cells import read_cell
from lorascope.stats.importance import layer_ablations_table, layers_table, read_answers
from lorascope.stats.tables import cells_table
from lorascope.study.analyses import analyses
from lorascope.study.plan import Plan
from lorascope.study.show import curves_answer, dataset_answer, gates_answer
from lorascope.study.sparse_plan import SparsePlan

_FINAL = (("summary", "results.json"), ("report", "index.html"))


def answers(plan: Plan, sparse: SparsePlan, targets: Sequence[str]) -> list[str]:
    """Return the answer of each target: names or paths; none at all stands for the default target."""
    lines = [line for target in targets or ["report"] for line in _answer(plan, sparse, target)]
    return list(dict.fromkeys(lines))


def _answer(plan: Plan, sparse: SparsePlan, target: str) -> Sequence[str] | Iterator[str]:
    named: dict[str, Callable[[], Sequence[str] | Iterator[str]]] = {
        "report": lambda: _verdicts(plan, plan.config["dataset"]),
        "summary": lambda: _verdicts(plan, plan.config["dataset"]),
        "features": lambda: _features(plan),
        "importance": lambda: _layers(plan),
        "scaling": lambda: curves_answer(Path(plan.study_folder, "scaling")),
        "sparse": lambda: gates_answer(Path(sparse.named())),
    }
    if target in named:
        return named[target]()
    if target in plan.config["datasets"]:
        return _verdicts(plan, [target])
    if target in REPRESENTATIONS:
        return _scores(plan, target)
    if target == sparse.page:
        return named["sparse"]()
    finals = [name for name in plan.config["datasets"] for end in _FINAL if plan.named(name, *end) == target]
    return _verdicts(plan, finals) if finals else [f"Made: {target}"]


def _verdicts(plan: Plan, datasets: Sequence[str]) -> Iterator[str]:
    for dataset in datasets:
        yield from dataset_answer(plan.named(dataset))


def _scores(plan: Plan, representation: str) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        adapters = _adapters(plan, dataset)
        entries = [plan.cell_entry(cell) for cell in plan.cells(dataset, [representation])]
        cells = [read_cell(dataset, entry, adapters) for entry in entries]
        yield f"Test accuracy on {dataset}:"
        for record in cells_table(cells, adapters).to_pylist():
            yield f"  {score_line(record)}"
        yield f"Files: {plan.folder(dataset, 'probes', representation)}"


def _adapters(plan: Plan, dataset: str) -> Adapters:
    folder = plan.label_folder(dataset)
    return read_adapters(f"{folder}/adapters.parquet", read_json(f"{folder}/manifest.json"))


def _features(plan: Plan) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        files = {path for cell in plan.cells(dataset) for path in cell.features}
        of = plural(len(plan.config["representations"]), "representation")
        yield f"Features of {dataset}: {of} in {plural(len(files), 'file')}"
        yield f"Files: {plan.folder(dataset, 'features')}"


def _layers(plan: Plan) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        beside = analyses(plan, dataset)
        ranked = beside["importance"].files if "importance" in beside else None
        answers = read_answers(dataset, ranked, _adapters(plan, dataset))
        tables = {"layers": layers_table(answers), "layer_ablations": layer_ablations_table(answers)}
        told = where_line(Summary({name: table.to_pylist() for name, table in tables.items()}))
        yield f"{dataset}: {told or 'no ranking of layers is set'}"
        yield from (f"Files: {Path(next(iter(each.files.values()))).parent}" for each in beside.values())
