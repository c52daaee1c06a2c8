"""`make bench-protocol`: does the probe `mlp` find what a plain PyTorch training of the same protocol finds?

Both sides train on the same features of the same 1,000 adapters (studies/study-1k.yaml), many seeds each.
They draw other random numbers, so that they agree if the means differ by no more than their standard error
allows. Each finished seed is a line of protocol.csv, and what is there is not trained again.
"""

import argparse
import csv
from datetime import date
from pathlib import Path

import numpy as np
import torch
import yaml
from extract import HERE, machine
from plain_torch_mlp import Outcome, train_plain

from lorascope.data.split import PARTS
from lorascope.probes.metrics import confusion_matrix, macro_scores
from lorascope.probes.mlp import MLPSettings, train_mlp
from lorascope.probes.runs import Run
from lorascope.probes.train import CellInput, load_cell
from lorascope.study.config import load_config
from lorascope.study.plan import Plan

STUDY = HERE.parent / "studies" / "study-1k.yaml"
LAYER_SET = "all"
# Of the most accurate epochs the probe keeps the one with the least loss; the plain loop shows the first too.
OURS, SAME_RULE, FIRST = "mlp", "plain", "plain, first of the best epochs"
SHOWN = ("train", "validation", "test", "epochs", "best_epoch")
FIELDS = ("representation", "seed", "side", *SHOWN)


def load(plan: Plan, representation: str) -> CellInput:
    """Read the features of a cell of the study, which `snakemake features` has made."""
    (dataset,) = plan.config["dataset"]
    layers = plan.layer_set(dataset, LAYER_SET)
    names = {"dataset": dataset, "layer_set": LAYER_SET, "representation": representation, "probe": "mlp"}
    files = [path for _, path in plan.features(dataset, representation, layers)]
    return load_cell(names, files, f"{plan.label_folder(dataset)}/adapters.parquet", layers)


def train(cell: CellInput, seed: int) -> dict[str, Outcome]:
    """Train one seed on both sides."""
    classes, settings = len(cell.classes), MLPSettings()
    plain = train_plain(cell.parts, classes, settings, seed)
    (run,) = train_mlp(cell.parts, classes, settings, [seed])
    return {OURS: _outcome(run, cell), SAME_RULE: plain["loss"], FIRST: plain["first"]}


def _outcome(run: Run, cell: CellInput) -> Outcome:
    predicted = {part: run.log_probabilities[part].argmax(axis=1) for part in PARTS}
    confusions = [
        confusion_matrix(cell.parts[part].classes, predicted[part], len(cell.classes)) for part in PARTS
    ]
    accuracies = [macro_scores(confusion)["accuracy"] for confusion in confusions]
    return Outcome(*accuracies, run.epochs, run.best_epoch)


def measure(plan: Plan, representations: list[str], seeds: range, path: Path) -> list[dict]:
    """Train what is missing; return all rows of the table in ``path`` that were asked for."""
    rows = _rows(path)
    done = {(row["representation"], int(row["seed"])) for row in rows}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not file.tell():
            writer.writeheader()
        for representation in representations:
            cell = load(plan, representation)
            for seed in seeds:
                if (representation, seed) not in done:
                    for side, outcome in train(cell, seed).items():
                        names = {"representation": representation, "seed": seed, "side": side}
                        writer.writerow(names | outcome._asdict())
                    file.flush()
    asked = [row for row in _rows(path) if row["representation"] in representations]
    return [row for row in asked if int(row["seed"]) in seeds]


def _rows(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(rows: list[dict]) -> list[str]:
    """Return mean and standard error of each side, and what the probe has more than each plain loop."""
    heads = ["representation", "side", "runs", *(name.replace("_", " ") for name in SHOWN)]
    lines = [heads, ["---"] * len(heads)]
    for representation in dict.fromkeys(row["representation"] for row in rows):
        values = {side: _values(rows, representation, side) for side in (OURS, SAME_RULE, FIRST)}
        for side, runs in values.items():
            means, errors = runs.mean(axis=0), _errors(runs)
            cells = [_words(*pair, i) for i, pair in enumerate(zip(means, errors, strict=True))]
            lines.append([f"`{representation}`", side, str(len(runs)), *cells])
        for side in (SAME_RULE, FIRST):
            gaps = values[OURS].mean(axis=0) - values[side].mean(axis=0)
            errors = np.hypot(_errors(values[OURS]), _errors(values[side]))
            cells = [_words(*pair, i, "+") for i, pair in enumerate(zip(gaps, errors, strict=True))]
            lines.append([f"`{representation}`", f"{OURS} − {side}", "", *cells])
    return [f"| {' | '.join(line)} |" for line in lines]


def _values(rows: list[dict], representation: str, side: str) -> np.ndarray:
    own = [row for row in rows if (row["representation"], row["side"]) == (representation, side)]
    return np.array([[float(row[name]) for name in SHOWN] for row in own])


def _errors(runs: np.ndarray) -> np.ndarray:
    return runs.std(axis=0, ddof=1) / np.sqrt(len(runs))


def _words(mean: float, error: float, column: int, sign: str = "") -> str:
    digits = 1 if SHOWN[column] in ("epochs", "best_epoch") else 4
    return f"{mean:{sign}.{digits}f} ± {error:.{digits}f}"


def main() -> None:
    """Parse the command line, train and write protocol.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--representations", nargs="+", default=["stats", "frequency"])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--results", default="results", help="where the features of the study lie")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the table goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = yaml.safe_load(STUDY.read_text())
    plan = Plan(load_config({**settings, "results": options.results}))
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = range(42, 42 + options.seeds)
    rows = measure(plan, options.representations, seeds, options.out / "protocol.csv")
    about = f"{date.today()}, {machine()}: mean ± its standard error over seeds."
    lines = [about, "", *table(rows)]
    (options.out / "protocol.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
