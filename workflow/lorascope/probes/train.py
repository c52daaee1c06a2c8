"""Train one cell: read features, standardise, run the seeds, keep what is finished."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import DOWN, UP
from lorascope.data.split import ALL, PARTS, TEST, TRAIN, VALIDATION
from lorascope.errors import LorascopeError
from lorascope.features.layers import DELTA
from lorascope.features.read import matrix_of, read_features
from lorascope.features.registry import is_layered, is_scaled_by_layer
from lorascope.files import read_table, write_table
from lorascope.probes.metrics import auroc, confusion_matrix, cross_entropy, macro_scores
from lorascope.probes.registry import is_standardised, run_probe
from lorascope.probes.runs import Part, Run
from lorascope.probes.scaling import Scaling


@dataclass(frozen=True)
class CellInput:
    """What a cell is trained on.

    Attributes:
        names: data set, layer set, representation and probe.
        parts: features and classes of each part of the split.
        classes: names of the classes, sorted.
        n_layers: how many layers the features are of.
        columns: names of the features.
        scaling: of the training part's features, also where the probe wants them raw.
    """

    names: dict[str, str]
    parts: dict[str, Part]
    classes: list[str]
    n_layers: int
    columns: list[str]
    scaling: Scaling

    @property
    def is_scaled(self) -> bool:
        """Whether the probe sees standardised features."""
        return is_standardised(self.names["probe"])


def load_cell(
    names: dict[str, str], features: Sequence[str], adapters: str, layers: Sequence[str]
) -> CellInput:
    """Read the features of a cell's layers and, unless its probe wants them raw, standardise them.

    Args:
        names: data set, layer set, representation and probe; go into every row of the results.
        features: feature files; their columns are put side by side.
        adapters: label and split table.
        layers: the layers that the probe may see.

    Raises:
        LorascopeError: the files do not belong together, or a feature is not finite.
    """
    table = read_table(adapters, ["label", "split"])
    labels, split = (np.array(table[name].to_pylist()) for name in ("label", "split"))
    sides = (DELTA,) if is_layered(names["representation"]) else (DOWN, UP)
    values, columns = read_features(features, [f"{layer}.{side}" for layer in layers for side in sides])
    if len(values) != len(labels):
        raise LorascopeError(
            f"{features[0]}: {len(values)} rows but {adapters} has {len(labels)}; delete the former"
        )
    if not np.isfinite(values).all():
        column = columns[int(np.argmin(np.isfinite(values).all(axis=0)))]
        raise LorascopeError(
            f"{features[0]}: feature '{column}' is not finite; please report this with the adapter"
        )
    all_classes, classes = np.unique(labels, return_inverse=True)
    rows = {part: np.flatnonzero((split == part) | (split == ALL)) for part in PARTS}
    if absent := sorted(set(all_classes) - set(labels[rows[TRAIN]])):
        raise LorascopeError(f"{adapters}: no training adapter of {', '.join(absent[:8])}")
    parts = {part: Part(values[index], classes[index], tuple(columns)) for part, index in rows.items()}
    by_layer = is_scaled_by_layer(names["representation"])
    scaling = Scaling.fit(parts[TRAIN].features, list(map(matrix_of, columns)) if by_layer else None)
    if is_standardised(names["probe"]):
        parts = {name: replace(part, features=scaling.apply(part.features)) for name, part in parts.items()}
    return CellInput(names, parts, all_classes.tolist(), len(layers), columns, scaling)


def train_block(
    load: Callable[[], CellInput],
    settings: dict,
    seeds: Sequence[int],
    device: str,
    threads: int,
    folder: str | Path,
    provenance: dict,
) -> Iterator[str]:
    """Train the seeds that are not done yet and write the block's two tables.

    Each finished seed is kept in ``folder/seeds`` at once, so that a kill costs one seed at the most
    and another division into blocks costs nothing.

    Args:
        load: reads the cell's input; not called when every seed is done.
        settings: of the probe.
        seeds: consecutive seeds.
        device: ``cpu`` or a CUDA device.
        threads: seeds trained at a time.
        folder: the cell's folder.
        provenance: stored in the files.

    Yields:
        One line for the log as each seed finishes.
    """
    folder = Path(folder)
    missing = [seed for seed in seeds if not _is_done(folder, seed)]
    if missing:
        cell = load()
        for run in run_probe(
            cell.names["probe"], cell.parts, len(cell.classes), settings, missing, device, threads
        ):
            row = _runs_row(run, cell)
            write_table(_seed_file(folder, run.seed, "details"), _details_row(run, cell), provenance)
            write_table(_seed_file(folder, run.seed, "runs"), row, provenance)
            yield _log_line(row.to_pylist()[0])
    for kind in ("details", "runs"):
        tables = [read_table(_seed_file(folder, seed, kind)) for seed in seeds]
        name = f"seeds-{seeds[0]}-{seeds[-1]}.{kind}.parquet"
        write_table(folder / name, pa.concat_tables(tables), provenance)


def _seed_file(folder: Path, seed: int, kind: str) -> Path:
    return folder / "seeds" / f"seed-{seed}.{kind}.parquet"


def _is_done(folder: Path, seed: int) -> bool:
    """Both, because one that was damaged may have been set aside."""
    return all(_seed_file(folder, seed, kind).exists() for kind in ("details", "runs"))


def _runs_row(run: Run, cell: CellInput) -> pa.Table:
    scores: dict[str, float] = {}
    for part in PARTS:
        truth = cell.parts[part].classes
        for metric, value in macro_scores(_confusion(run, cell, part)).items():
            scores[f"{part}_{metric}"] = value
        scores[f"{part}_loss"] = cross_entropy(run.log_probabilities[part], truth)
    # The other parts' probabilities are stored, and scored with the tables.
    scores["train_auroc"] = float(auroc(np.exp(run.log_probabilities[TRAIN]), cell.parts[TRAIN].classes))
    row = {
        **cell.names,
        "seed": run.seed,
        **scores,
        "foreign_auroc": run.foreign_auroc,
        "temperature": run.temperature,
        "best_epoch": run.best_epoch,
        "epochs": run.epochs,
        "seconds": run.seconds,
        "features": cell.parts[TRAIN].features.shape[1],
        "layers": cell.n_layers,
    }
    return pa.Table.from_pylist([row])


def _details_row(run: Run, cell: CellInput) -> pa.Table:
    floats, counts = pa.list_(pa.float32()), pa.list_(pa.int64())
    columns = {
        "seed": pa.array([run.seed], pa.int64()),
        "curve_train_loss": pa.array([run.train_loss], floats),
        "curve_validation_loss": pa.array([run.validation_loss], floats),
        "curve_validation_accuracy": pa.array([run.validation_accuracy], floats),
    }
    for part in (VALIDATION, TEST):
        columns[f"confusion_{part}"] = pa.array([_confusion(run, cell, part).ravel()], counts)
        columns[f"{part}_probabilities"] = pa.array([probabilities_of(run, part).ravel()], floats)
    return pa.table(columns)


def probabilities_of(run: Run, part: str) -> np.ndarray:
    """Return the probabilities of a part as they are stored, float32 [n, classes]."""
    return np.exp(run.log_probabilities[part]).astype(np.float32)


def _confusion(run: Run, cell: CellInput, part: str) -> np.ndarray:
    predicted = run.log_probabilities[part].argmax(axis=1)
    return confusion_matrix(cell.parts[part].classes, predicted, len(cell.classes))


def _log_line(row: dict) -> str:
    return (
        f"{row['dataset']} {row['layer_set']} {row['representation']} {row['probe']} seed {row['seed']}: "
        f"test accuracy {row['test_accuracy']:.3f}, best epoch {row['best_epoch']} of {row['epochs']}, "
        f"{row['seconds']:.1f} s"
    )
