"""Hand-made runs of gates, in the files that training writes."""

import numpy as np
import pyarrow as pa

from lorascope.files import write_json, write_table
from lorascope.sparse.train import COLUMNS

FORWARD, BACKWARD = 100, 200
SAMPLES = 1000


def write_run(folder, gate, seed, accuracies, *, rate=1.0, seconds=2.0, scoring=False, **settings):
    """Write a run whose epochs have these validation accuracies and each take ``seconds``."""
    epochs, trained = len(accuracies), int(SAMPLES * rate)
    values = {
        "epoch": np.arange(1, epochs + 1),
        "train_loss": np.linspace(2, 1, epochs),
        "validation_accuracy": np.array(accuracies, dtype=float),
        "test_accuracy": np.array(accuracies) - 0.01,
        "activation_rate": rate,
        "threshold": np.nan,
        "energy_store": np.nan,
        "samples_trained": trained,
        "samples_skipped": SAMPLES - trained,
        "seconds": seconds,
        "cpu_seconds": seconds / 2,
        "flops_forward": FORWARD * trained,
        "flops_backward": BACKWARD * trained,
        "flops_scoring": FORWARD * SAMPLES * scoring,
        "energy_used": 10 * trained + 0.1 * (SAMPLES - trained),
        "energy_dense": 10 * SAMPLES,
    }
    rows = {name: np.broadcast_to(value, epochs) for name, value in values.items()}
    rows["gate"], rows["seed"] = [gate] * epochs, np.full(epochs, seed)
    rows["validation_loss"] = rows["learning_rate"] = np.ones(epochs)
    table = pa.table({name: pa.array(rows[name], from_pandas=True) for name in COLUMNS.names}, COLUMNS)
    write_table(folder / "epochs.parquet", table)
    vit = {"patch": 4, "width": 64, "depth": 2, "heads": 4, "mlp_ratio": 2.0, "dropout": 0.1}
    shared = {"target_activation_rate": 0.1, "epochs": epochs, "batch": 50, "learning_rate": 0.002}
    about = {
        "settings": {"gate": gate, **shared, "crop": 1, "flip": True, "vit": vit, **settings},
        "seed": seed,
        "images": "images/abc",
        "gate": gate,
        "parameters": 12_345,
        "training_samples": SAMPLES,
        "validation_samples": SAMPLES,
        "test_samples": SAMPLES,
        "classes": 10,
        "image_shape": [8, 8, 1],
        "flops_per_sample": {"forward": FORWARD, "backward": BACKWARD},
        "precision": "float32",
        "device": "cpu",
        "threads": 1,
        "provenance": {"versions": {"lorascope": "0"}},
    }
    write_json(folder / "run.json", about)
    return folder


# Gate → final accuracy less dense's, activation rate, seconds an epoch.
GATES = {
    "dense": (0.0, 1.0, 4.0),
    "uniform": (-0.2, 0.1, 0.5),
    "sundew": (-0.1, 0.1, 2.0),
    "free_loss@0.5": (0.0, 0.5, 2.0),
    "loss_topk": (-0.3, 0.1, 2.0),
}


def write_study(home, seeds=3):
    """Write runs of several gates; return their folders."""
    folders = []
    for seed in range(seeds):
        for gate, (less, rate, seconds) in GATES.items():
            # Seeds differ, and gates differ from each other a little more in some seeds.
            end = 0.9 + 0.01 * seed + less + 0.002 * seed * (gate != "dense")
            folder = home / gate / "key" / f"seed-{seed}"
            scoring = gate in ("sundew", "loss_topk")
            accuracies = [0.5 * end, 0.8 * end, end]
            folders.append(
                write_run(folder, gate, seed, accuracies, rate=rate, seconds=seconds, scoring=scoring)
            )
    return folders
