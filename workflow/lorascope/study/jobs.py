"""The jobs of a study: which file each writes last, where its log is, and how long it took."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorascope.features.registry import is_fitted
from lorascope.logs import error_in
from lorascope.study.analyses import analyses
from lorascope.study.curves import curves
from lorascope.study.durations import Kind, kind_of
from lorascope.study.plan import Cell, Plan

ZOO, DOWNLOAD, PREPARE, LABEL, PASSPORT = "zoo_train", "download", "prepare", "label", "passport"
BASE, PICTURE = "zoo_base", "zoo_picture"
FIT, EXTRACT, TRAIN = "fit", "extract", "train"
IMPORTANCE, CONTROL, SCALE = "rank_layers", "control", "scale"
AGGREGATE, KEEP, PAGE = "aggregate", "keep_probes", "page"


@dataclass(frozen=True)
class Job:
    """One job of a data set.

    Attributes:
        step: name of its rule.
        output: a file that exists once it is finished.
        log: where it tells what went wrong.
        stamp: a file without which its output is that of other settings; empty where its path says so.
    """

    step: str
    output: str
    log: str
    stamp: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the job has written its output."""
        return Path(self.output).exists() and (not self.stamp or Path(self.stamp).exists())

    @property
    def kind(self) -> Kind:
        """What jobs of about the same length have in common."""
        return kind_of(self.log)

    def error(self) -> str:
        """Return the error that the log of an unfinished job holds; empty where there is none."""
        return "" if self.is_done else error_in(self.log)


def all_jobs(plan: Plan, dataset: str) -> list[Job]:
    """Return every job of a data set, up to its page, in the order in which they can run."""
    cells = plan.cells(dataset)
    readers = [*cells, *analyses(plan, dataset).values(), *(each.cell for each in curves(plan, dataset))]
    jobs = [
        *shared_jobs(plan, dataset),
        *_drawn(plan, dataset),
        *(job for reader in readers for job in feature_jobs(plan, dataset, reader.features)),
        *_beside(plan, dataset),
        *(job for cell in cells for job in train_jobs(cell)),
        *_final(plan, dataset),
    ]
    # They share their features.
    return list(dict.fromkeys(jobs))


def shared_jobs(plan: Plan, dataset: str) -> Iterator[Job]:
    """Yield the jobs that every cell of a data set waits for."""
    for base in plan.base(dataset) if plan.shards(dataset) else ():
        yield Job(BASE, base, f"logs/{dataset}/{BASE}/{plan.base_key(dataset)}.log")
    for block, shard in enumerate(plan.shards(dataset)):
        yield Job(ZOO, shard, f"logs/{dataset}/{ZOO}/{plan.zoo_key(dataset)}.{block:04d}.log")
    for marker in plan.download(dataset):
        yield Job(DOWNLOAD, marker, f"logs/{dataset}/{DOWNLOAD}/{PurePosixPath(marker).stem}.log")
    data_key, label_key = plan.data_key(dataset), plan.label_key(dataset)
    yield Job(
        PREPARE, f"{plan.data_folder(dataset)}/layers.parquet", f"logs/{dataset}/{PREPARE}/{data_key}.log"
    )
    yield Job(LABEL, f"{plan.label_folder(dataset)}/manifest.json", f"logs/{dataset}/{LABEL}/{label_key}.log")
    passport, _ = plan.passport(dataset)
    yield Job(PASSPORT, passport, f"logs/{dataset}/{PASSPORT}/{plan.passport_key(dataset)}.log")


def feature_jobs(plan: Plan, dataset: str, features: Iterable[str]) -> Iterator[Job]:
    """Yield the jobs that make some feature files."""
    for path in features:
        representation, group = PurePosixPath(path).parts[-3], PurePosixPath(path).stem
        if is_fitted(representation):
            (fit,) = plan.fit_file(dataset, representation, group)
            key = plan.fit_key(dataset, representation)
            yield Job(FIT, fit, f"logs/{dataset}/{FIT}/{representation}.{key}.{group}.log")
        key = plan.feature_key(dataset, representation)
        yield Job(EXTRACT, path, f"logs/{dataset}/{EXTRACT}/{representation}.{key}.{group}.log")


def train_jobs(cell: Cell) -> Iterator[Job]:
    """Yield the jobs that train a cell, one a block of seeds."""
    for block, last in zip(cell.blocks, cell.details, strict=True):
        yield Job(TRAIN, last, cell.log(block))


def _drawn(plan: Plan, dataset: str) -> Iterator[Job]:
    for picture in plan.picture(dataset):
        yield Job(PICTURE, picture, f"logs/{dataset}/{PICTURE}/{plan.zoo_key(dataset)}.log")


def _beside(plan: Plan, dataset: str) -> Iterator[Job]:
    """Yield what is computed beside the cells."""
    for name, analysis in analyses(plan, dataset).items():
        step = IMPORTANCE if name == "importance" else name
        yield Job(step, next(iter(analysis.files.values())), analysis.log)
    controls = plan.controls(dataset)[0]
    yield Job(CONTROL, controls, f"logs/{dataset}/{CONTROL}/{plan.control_key(dataset)}.log")
    for curve in curves(plan, dataset):
        yield Job(SCALE, curve.path, f"logs/{dataset}/{SCALE}/{_scaled(curve.cell)}.{curve.key}.log")


def _scaled(cell: Cell) -> str:
    return f"{cell.representation}/{cell.layer_set}.{cell.probe}"


def _final(plan: Plan, dataset: str) -> Iterator[Job]:
    stamp, logs = plan.stamp(dataset), f"logs/studies/{plan.config['study']}/{dataset}"
    yield Job(AGGREGATE, plan.named(dataset, "summary", "results.json"), f"{logs}/{AGGREGATE}.log", stamp)
    yield Job(KEEP, plan.named(dataset, "probes.json"), f"{logs}/{KEEP}.log", stamp)
    yield Job(PAGE, plan.named(dataset, "report", "index.html"), f"{logs}/{PAGE}.log", stamp)
