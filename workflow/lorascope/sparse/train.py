"""Train one gate with one seed, keeping a checkpoint an epoch, so that a kill costs one epoch at the most."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lorascope.errors import LorascopeError
from lorascope.files import write_json, write_table
from lorascope.sparse.images import TEST, TRAIN, VALIDATION, open_images
from lorascope.sparse.settings import TrainSettings
from lorascope.sparse.training import Training
from lorascope.tensor_files import read_tensors, write_tensors

CHECKPOINT = "checkpoint.safetensors"
FLOATS = pa.float64()
COLUMNS = pa.schema(
    {
        "gate": pa.string(),
        "seed": pa.int64(),
        "epoch": pa.int64(),
        "train_loss": FLOATS,
        "validation_accuracy": FLOATS,
        "validation_loss": FLOATS,
        "test_accuracy": FLOATS,
        "activation_rate": FLOATS,
        "threshold": FLOATS,
        "energy_store": FLOATS,
        "samples_trained": pa.int64(),
        "samples_skipped": pa.int64(),
        "seconds": FLOATS,
        "cpu_seconds": FLOATS,
        "flops_forward": pa.int64(),
        "flops_backward": pa.int64(),
        "flops_scoring": pa.int64(),
        "energy_used": FLOATS,
        "energy_dense": FLOATS,
        "learning_rate": FLOATS,
    }
)


def train(
    images: str | Path, settings: TrainSettings, seed: int, device: str, folder: str | Path, provenance: dict
) -> Iterator[str]:
    """Train to the last epoch, from where an earlier call was interrupted.

    Writes ``epochs.parquet`` (one row an epoch; ``seconds`` are of that epoch), ``run.json`` and the trained
    ``model.safetensors``.

    Args:
        images: folder of prepared images.
        settings: of the run.
        seed: of the run.
        device: ``cpu`` or ``cuda``.
        folder: where to write.
        provenance: key, code and versions; stored in what is written.

    Yields:
        One line for the log after each epoch.

    Raises:
        LorascopeError: no prepared images, sizes that do not fit, or a checkpoint of another run.
    """
    import torch

    # Threads that share a product add up in another order: the result must not depend on their number.
    torch.set_num_threads(1)
    folder = Path(folder)
    run = {
        "settings": settings.to_json(),
        "seed": seed,
        "images": str(images),
        "key": provenance.get("key", ""),
    }
    training = Training(open_images(images), settings, seed, device)
    rows = _resume(folder / CHECKPOINT, training, run)
    for epoch in range(len(rows) + 1, settings.epochs + 1):
        rows.append({"gate": settings.gate, "seed": seed, **training.train_epoch(epoch)})
        _save(folder / CHECKPOINT, training.state_dict(), {"run": run, "rows": rows})
        yield _line(rows[-1], settings.epochs)
    _save(folder / "model.safetensors", training.model.state_dict(), run)
    write_json(folder / "run.json", {**run, **_facts(training), "provenance": provenance})
    write_table(folder / "epochs.parquet", pa.Table.from_pylist(rows, COLUMNS), provenance)
    # Last: from here on there is nothing left to resume.
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _facts(training: Training) -> dict:
    import torch

    on_gpu = training.device != "cpu"
    return {
        "gate": training.settings.gate,
        "parameters": training.parameters,
        "training_samples": len(training.parts[TRAIN]),
        "validation_samples": len(training.parts[VALIDATION]),
        "test_samples": len(training.parts[TEST]),
        "classes": training.model.head.out_features,
        "image_shape": list(training.parts[TRAIN].bytes.shape[1:]),
        "flops_per_sample": {"forward": training.cost.forward, "backward": training.cost.backward},
        "precision": training.precision,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
    }


def _save(path: Path, tensors: dict, about: dict) -> None:
    write_tensors(path, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}, about)


def _resume(path: Path, training: Training, run: dict) -> list[dict]:
    """Load the checkpoint into ``training``; return the rows of the epochs that it has behind it."""
    if not path.exists():
        return []
    import torch

    about, arrays = read_tensors(path)
    if (about or {}).get("run") != run:
        raise LorascopeError(f"{path}: of another run; delete it or choose another folder")
    training.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return about["rows"]


def _line(row: dict, epochs: int) -> str:
    """Return what the log says of an epoch: loss, validation accuracy, activated and saved share, time."""
    loss = "-" if row["train_loss"] is None else f"{row['train_loss']:.4f}"
    saved = 1 - row["energy_used"] / row["energy_dense"]
    return (
        f"{row['gate']} seed {row['seed']} epoch {row['epoch']}/{epochs}: loss {loss}, "
        f"val acc {row['validation_accuracy']:.4f}, act {row['activation_rate']:.1%}, "
        f"saved {saved:.1%}, {row['seconds']:.1f} s"
    )
