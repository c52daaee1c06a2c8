"""The lines that end a run: for each name that was asked for, what was found or made, and where it lies."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorascope.features.registry import REPRESENTATIONS
from lorascope.files import read_json
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
from lorascope.wording import plural

_FINAL = (("summary", "results.json"), ("report", "index.html"))


@dataclass(frozen=True)
class Asked:
    """What a run was about.

    Attributes:
        plan, sparse: the plans of its settings.
        place: from a path of the plan to where this process finds it: in the copy of a store, for instance.
    """

    plan: Plan
    sparse: SparsePlan
    place: Callable[[str], str] = str

    def answers(self, targets: Sequence[str]) -> list[str]:
        """Return the answer of each target, a name or a path; none at all stands for the default target."""
        lines = [line for target in targets or ["report"] for line in self._answer(target)]
        return list(dict.fromkeys(lines))

    def _answer(self, target: str) -> Iterable[str]:
        plan, config = self.plan, self.plan.config
        if target in ("report", "summary"):
            return self._verdicts(config["dataset"])
        if target in config["datasets"]:
            return self._verdicts([target])
        if target in REPRESENTATIONS:
            return _scores(plan, target)
        if target in ("sparse", self.sparse.page):
            return gates_answer(Path(self.place(self.sparse.named())))
        if target == "scaling":
            return curves_answer(Path(self.place(plan.study_folder), "scaling"))
        if target in ("features", "importance"):
            return _features(plan) if target == "features" else _layers(plan)
        finals = [name for name in config["datasets"] for end in _FINAL if plan.named(name, *end) == target]
        return self._verdicts(finals) if finals else [f"Made: {target}"]

    def _verdicts(self, datasets: Sequence[str]) -> Iterator[str]:
        for dataset in datasets:
            folder = self.place(self.plan.named(dataset))
            # Of a store there need not be a copy.
            if Path(folder, *_FINAL[0]).exists():
                yield from dataset_answer(folder)
            else:
                yield f"Page: {self.plan.named(dataset, *_FINAL[1])}"


def _scores(plan: Plan, representation: str) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        if adapters := _adapters(plan, dataset):
            entries = [plan.cell_entry(cell) for cell in plan.cells(dataset, [representation])]
            cells = [read_cell(dataset, entry, adapters) for entry in entries]
            yield f"Test accuracy on {dataset}:"
            for record in cells_table(cells, adapters).to_pylist():
                yield f"  {score_line(record)}"
        yield f"Files: {plan.folder(dataset, 'probes', representation)}"


def _adapters(plan: Plan, dataset: str) -> Adapters | None:
    """Return the adapters of a data set; None where they lie in a store."""
    table, manifest = (
        f"{plan.label_folder(dataset)}/{name}" for name in ("adapters.parquet", "manifest.json")
    )
    return read_adapters(table, read_json(manifest)) if Path(manifest).exists() else None


def _features(plan: Plan) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        files = {path for cell in plan.cells(dataset) for path in cell.features}
        of = plural(len(plan.config["representations"]), "representation")
        yield f"Features of {dataset}: {of} in {plural(len(files), 'file')}"
        yield f"Files: {plan.folder(dataset, 'features')}"


def _layers(plan: Plan) -> Iterator[str]:
    for dataset in plan.config["dataset"]:
        beside = analyses(plan, dataset)
        ranked, adapters = beside.get("importance"), _adapters(plan, dataset)
        if ranked and adapters:
            answers = read_answers(dataset, ranked.files, adapters)
            tables = {"layers": layers_table(answers), "layer_ablations": layer_ablations_table(answers)}
            told = where_line(Summary({name: table.to_pylist() for name, table in tables.items()}))
            yield f"{dataset}: {told}"
        yield from (f"Files: {Path(next(iter(each.files.values()))).parent}" for each in beside.values())
