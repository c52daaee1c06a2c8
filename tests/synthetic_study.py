"""Studies with known truth, in exactly the files that training writes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from lorascope.controls.parts import ANSWERS_SCHEMA, answer
from lorascope.controls.run import CONTROLS
from lorascope.files import write_json, write_table

CLASSES = ("airplane", "bird", "cat", "car", "dog", "fish", "fruit", "ship", "snake", "vegetable")
GRID = np.linspace(0, 1, 101)
SETTINGS = {"study": "default", "probes": {"mlp": {"seeds": 3}}, "split": {"seed": 42}}


def make_study(
    folder: Path,
    accuracies: dict[tuple[str, str], float],
    *,
    seeds: int = 3,
    block: int = 2,
    adapters: int = 300,
    classes: int = 10,
    groups: int | None = None,
    sanity: bool = False,
    absent: dict[tuple[str, str], str] | None = None,
    controls: bool = True,
    curves: bool = True,
    foreign_auroc: float | None = None,
) -> dict:
    """Write a data set and its cells and return the study.

    Args:
        accuracies: (layer set, representation) → expected accuracy on unseen adapters.
        seeds, block: runs per cell, runs per pair of files.
        groups: number of groups that adapters are assigned to; None writes no group column.
        absent: (layer set, representation) → text of the log of a cell that has no files.
        controls: write a passport, controls and certificates of invariance too.
        curves: write the learning curve of the first cell too.
        foreign_auroc: how well every run tells classes that it was never shown.
    """
    names = sorted(CLASSES[:classes])
    parts = write_data_set(folder, names, adapters, groups, sanity)
    cells = []
    for index, ((layer_set, representation), accuracy) in enumerate(accuracies.items()):
        home = folder / f"{layer_set}-{representation}"
        cell = Synthetic(layer_set, representation, accuracy, parts, len(names), np.random.default_rng(index))
        text = (absent or {}).get((layer_set, representation))
        firsts = range(42, 42 + seeds, block)
        blocks = [(first, min(first + block, 42 + seeds) - 1) for first in firsts]
        cell.foreign_auroc = foreign_auroc
        if text is None:
            for first, last in blocks:
                cell.write(home, first, last)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        logs = [folder / "logs" / f"{layer_set}-{representation}.seeds-{first}.log" for first, _ in blocks]
        for log in logs[:-1]:
            log.write_text("epoch 1\nepoch 2\n")
        # The last block's job is the one that failed.
        logs[-1].write_text(text or "epoch 1\nepoch 2\n")
        paths = {
            kind: [home / f"seeds-{first}-{last}.{kind}.parquet" for first, last in blocks]
            for kind in ("runs", "details")
        }
        identity = {"layer_set": layer_set, "representation": representation, "probe": "mlp"}
        cells.append({**identity, **paths, "logs": logs})
    settings = SETTINGS | {"controls": list(CONTROLS)}
    known = write_knowledge(folder, accuracies, parts, names, adapters) if controls else {}
    return {
        "dataset": "synthetic",
        "cells": cells,
        **known,
        "curves": [write_curve(folder, *next(iter(accuracies)), parts)] if curves else [],
        "adapters": folder / "adapters.parquet",
        "manifest": folder / "manifest.json",
        "settings": settings,
        "keys": {"prepare": "0123456789"},
    }


def write_data_set(folder, names, adapters, groups, sanity) -> dict[str, np.ndarray]:
    """Write adapters.parquet and manifest.json; return the class codes of each part."""
    codes = np.arange(adapters) % len(names)
    parts = np.array(["train"] * 7 + ["validation"] + ["test"] * 2)
    split = np.full(adapters, "all") if sanity else parts[np.arange(adapters) // len(names) % 10]
    columns = {
        "adapter": [f"adapter-{index:05d}" for index in range(adapters)],
        "label": np.array(names)[codes],
        "split": split,
    }
    if groups is not None:
        columns["group"] = [f"group-{index % groups}" for index in range(adapters)]
    write_table(folder / "adapters.parquet", pa.table(columns))
    rows = {part: (split == part) | (split == "all") for part in ("train", "validation", "test")}
    manifest = {
        "dataset": "synthetic",
        "source": "synthetic",
        "adapters": adapters,
        "classes": names,
        "matrices": 64,
        "layers": 32,
        "parameters": 6144,
        "split": {part: int(mask.sum()) for part, mask in rows.items()},
        "sanity": sanity,
        "duplicates": [],
        "key": "0123456789",
        "digest": "ab" * 32,
    }
    write_json(folder / "manifest.json", manifest)
    return {part: codes[mask] for part, mask in rows.items()}


def write_knowledge(folder, accuracies, parts, names, adapters) -> dict:
    """Write a passport, the controls' answers and certificates; return their paths."""
    rng = np.random.default_rng(7)
    truth = parts["test"]
    layer_sets = list(dict.fromkeys(layer_set for layer_set, _ in accuracies))

    def answered(control, layer_set, share, **more):
        return answer(control, layer_set, rng.random(len(truth)) < share, share, **more)

    rows = [answered("majority", "", 1 / len(names))]
    rows += [answered("norms", layer_set, 0.15, chosen="forest") for layer_set in layer_sets]
    rows.append(answered("recipe_and_losses", "", 0.12, chosen="ridge 10"))
    for (layer_set, representation), accuracy in accuracies.items():
        of = {"representation": representation, "layers": 16, "features": 320}
        rows.append(answered("layers", layer_set, accuracy, **of))
        for draw in range(20):
            rows.append(answered("permuted", layer_set, 1 / len(names), draw=draw, **of))
            if layer_set != layer_sets[0]:
                rows.append(answered("random_layers", layer_set, accuracy, draw=draw, **of))
    metadata = {"controls": list(CONTROLS), "tested": list(range(len(truth)))}
    write_table(folder / "controls.parquet", pa.Table.from_pylist(rows, ANSWERS_SCHEMA), metadata)
    certificates = [_certificate(name) for name in dict.fromkeys(name for _, name in accuracies)]
    write_json(folder / "invariance.json", {"adapters": 64, "representations": certificates})
    write_json(folder / "passport.json", _passport(names, parts, adapters))
    paths = {"passport": "passport.json", "controls": "controls.parquet", "invariance": "invariance.json"}
    return {name: folder / path for name, path in paths.items()} | {"control_log": folder / "control.log"}


def _certificate(representation: str) -> dict:
    invariant = representation.startswith("delta")
    drifts = dict.fromkeys(
        ("signs", "rescaling", "basis", "refactoring", "padding"), 0.0 if invariant else 2.0
    )
    names = {"representation": representation, "claimed": invariant}
    names |= {"invariant": invariant, "holds": True, "reason": None}
    return {**names, "drifts": {**drifts, "float16": 3e-4, "int8": 4e-3}}


def _passport(names: list[str], parts: dict[str, np.ndarray], adapters: int) -> dict:
    counts = {part: np.bincount(codes, minlength=len(names)).tolist() for part, codes in parts.items()}
    return {
        "dataset": "synthetic",
        "adapters": adapters,
        "layers": 32,
        "sanity": len(parts["train"]) == adapters,
        "classes": {part: dict(zip(names, of_part, strict=True)) for part, of_part in counts.items()},
        "starts": {
            "regime": "fresh",
            "cosine": 0.06,
            "random": 0.05,
            "layers": {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": [0.06, 0.05]},
            "pulled": 0,
            "adapters": 256,
            "starts": 256,
            "largest": 1 / 256,
        },
        "duplicates": {"sets": 0, "adapters": 0, "across_parts": 0, "test_adapters": 0, "members": []},
        "overlaps": [
            {
                "kind": "images",
                "column": "images",
                "values": 900,
                "in_train_and_validation": 0,
                "in_train_and_test": 0,
                "test_adapters": 0,
            }
        ],
        "ranks": [1],
        "alphas": None,
        "sizes": {"low": 1.0, "median": 1.2, "high": 1.5, "spread": 1.5},
        "health": {
            **dict.fromkeys(("non_finite", "dead_updates", "dead_adapters", "rejected"), 0),
            "dead_layers": [],
            "rejected_list": None,
        },
        "metadata": {
            "recipe": [],
            "outcomes": ["loss"],
            "constant": {"rank": 1},
            "concepts": [],
            "unused": {"seed": "an id"},
        },
        "provenance": {},
    }


def write_curve(folder: Path, layer_set: str, representation: str, parts: dict) -> Path:
    """Write a learning curve: half of the training part names half of the test part, all of it all."""
    identity = {"dataset": "synthetic", "layer_set": layer_set, "representation": representation}
    rows = [
        {
            **identity,
            "probe": "ridge",
            "fraction": fraction,
            "seed": seed,
            "train_adapters": round(fraction * len(parts["train"])),
            **{f"{part}_accuracy": fraction for part in ("train", "validation", "test")},
            "seconds": 0.1,
            "test_correct": (np.arange(len(parts["test"])) % 2 < 2 * fraction - 0.5).tolist(),
        }
        for fraction in (0.5, 1.0)
        for seed in (42, 43)
    ]
    write_table(folder / "curve.parquet", pa.Table.from_pylist(rows))
    return folder / "curve.parquet"


class Synthetic:
    """A cell whose probe names the right class with a chosen probability."""

    def __init__(self, layer_set, representation, accuracy, parts, classes, rng):
        self.identity = {
            "dataset": "synthetic",
            "layer_set": layer_set,
            "representation": representation,
            "probe": "mlp",
        }
        self.layers = 32 if layer_set == "all" else 16
        self.foreign_auroc = None
        self.accuracy, self.parts, self.classes, self.rng = accuracy, parts, classes, rng
        # Easy adapters are easy for every seed and layer set, as real ones are.
        shared = np.random.default_rng(len(representation))
        self.easiness = {part: shared.random(len(truth)) for part, truth in parts.items()}

    def write(self, home: Path, first: int, last: int) -> None:
        rows = [self.run(seed) for seed in range(first, last + 1)]
        for kind, position in (("runs", 0), ("details", 1)):
            path = home / f"seeds-{first}-{last}.{kind}.parquet"
            write_table(path, pa.Table.from_pylist([row[position] for row in rows]))

    def probabilities(self, part: str) -> np.ndarray:
        truth = self.parts[part]
        luck = 0.7 * self.easiness[part] + 0.3 * self.rng.random(len(truth))
        # The quantile of 0.7 U + 0.3 U', both uniform.
        cut = np.quantile(np.add.outer(0.7 * GRID, 0.3 * GRID), self.accuracy)
        wrong = (truth + self.rng.integers(1, self.classes, len(truth))) % self.classes
        named = np.where(luck <= cut, truth, wrong)
        scores = self.rng.random((len(truth), self.classes))
        scores[np.arange(len(truth)), named] += 1.5
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

    def run(self, seed: int) -> tuple[dict, dict]:
        epochs = int(self.rng.integers(20, 40))
        probabilities = {part: self.probabilities(part) for part in ("validation", "test")}
        named = {part: values.argmax(axis=1) for part, values in probabilities.items()}
        row = {**self.identity, "seed": seed}
        row |= {f"train_{name}": 1.0 for name in ("accuracy", "f1", "precision", "recall", "auroc")}
        row |= {f"{part}_accuracy": float(np.mean(named[part] == self.parts[part])) for part in named}
        for part in ("validation", "test"):
            arguments = {"average": "macro", "zero_division": 0}
            row[f"{part}_f1"] = float(f1_score(self.parts[part], named[part], **arguments))
            row[f"{part}_precision"] = float(precision_score(self.parts[part], named[part], **arguments))
            row[f"{part}_recall"] = float(recall_score(self.parts[part], named[part], **arguments))
        row |= {"train_loss": 0.1, "validation_loss": 1.5, "test_loss": 1.6}
        row |= {
            "best_epoch": epochs - 15,
            "epochs": epochs,
            "seconds": 0.02 * epochs * (1 + self.layers / 32 + self.accuracy),
        }
        row |= {"foreign_auroc": self.foreign_auroc, "temperature": 1.0}
        row |= {"features": self.layers * 20, "layers": self.layers}
        return row, {"seed": seed, **self.details(epochs, probabilities, named)}

    def details(self, epochs: int, probabilities: dict, named: dict) -> dict:
        time = np.linspace(0, 1, epochs)
        noise = self.rng.normal(0, 0.02, (3, epochs))
        result = {
            "curve_train_loss": 2.3 * np.exp(-3 * time) + np.abs(noise[0]),
            "curve_validation_loss": 2.3 - self.accuracy * (1 - np.exp(-4 * time)) + noise[1],
            "curve_validation_accuracy": np.clip(self.accuracy * (1 - np.exp(-5 * time)) + noise[2], 0, 1),
        }
        result = {name: values.astype(np.float32) for name, values in result.items()}
        for part, guess in named.items():
            counts = confusion_matrix(self.parts[part], guess, labels=np.arange(self.classes))
            result[f"confusion_{part}"] = counts.ravel()
            result[f"{part}_probabilities"] = probabilities[part].ravel()
        return result


NINE = (
    *("simple_stats", "rank_based", "stats", "spectral", "matrix_norms"),
    *("distribution", "frequency", "info_theoretic", "ensemble"),
)
ORIGINAL = (0.25, 0.35, 0.36, 0.39, 0.30, 0.40, 0.41, 0.12, 0.38)


def default_accuracies(representations: tuple[str, ...] = NINE) -> dict[tuple[str, str], float]:
    """Expected accuracies of the nine representations: visual layers lose some, one is at chance."""
    reached = dict(zip(NINE, ORIGINAL, strict=True))
    return {
        (layer_set, name): max(0.1, reached[name] - lost)
        for layer_set, lost in (("all", 0.0), ("visual", 0.1))
        for name in representations
    }
