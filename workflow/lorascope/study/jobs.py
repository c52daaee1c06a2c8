"""The jobs that come before training: which file each writes last, and where its log is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorascope.features.registry import is_fitted, parts
from lorascope.logs import error_in
from lorascope.study.plan import Cell, Plan

ZOO, PREPARE, LABEL, PASSPORT = "zoo_train", "prepare", "label", "passport"
FIT, EXTRACT = "fit", "extract"


@dataclass(frozen=True)
class Job:
    """One job of a data set.

    Attributes:
        step: name of its rule.
        output: the file that exists once it is finished.
        log: where it tells what went wrong.
    """

    step: str
    output: str
    log: str

    @property
    def is_done(self) -> bool:
        """Whether the job has written its output."""
        return Path(self.output).exists()

    def error(self) -> str:
        """Return the error that the log of an unfinished job holds; empty where there is none."""
        return "" if self.is_done else error_in(self.log)


def shared_jobs(plan: Plan, dataset: str) -> Iterator[Job]:
    """Yield the jobs that every cell of a data set waits for."""
    for block, shard in enumerate(plan.shards(dataset)):
        yield Job(ZOO, shard, f"logs/{dataset}/{ZOO}/{plan.zoo_key(dataset)}.{block:04d}.log")
    data_key, label_key = plan.data_key(dataset), plan.label_key(dataset)
    yield Job(
        PREPARE, f"{plan.data_folder(dataset)}/layers.parquet", f"logs/{dataset}/{PREPARE}/{data_key}.log"
    )
    yield Job(LABEL, f"{plan.label_folder(dataset)}/manifest.json", f"logs/{dataset}/{LABEL}/{label_key}.log")
    passport, _ = plan.passport(dataset)
    yield Job(PASSPORT, passport, f"logs/{dataset}/{PASSPORT}/{plan.passport_key(dataset)}.log")


def feature_jobs(plan: Plan, cell: Cell) -> Iterator[Job]:
    """Yield the jobs that make the features of a cell."""
    keys = {part: plan.feature_key(cell.dataset, part) for part in parts(cell.representation)}
    for path in cell.features:
        representation, group = PurePosixPath(path).parts[-3], PurePosixPath(path).stem
        if is_fitted(representation):
            (fit,) = plan.fit_file(cell.dataset, representation, group)
            key = plan.fit_key(cell.dataset, representation)
            yield Job(FIT, fit, f"logs/{cell.dataset}/{FIT}/{representation}.{key}.{group}.log")
        log = f"logs/{cell.dataset}/{EXTRACT}/{representation}.{keys[representation]}.{group}.log"
        yield Job(EXTRACT, path, log)
