"""Sparse training: costs against a count by hand, pixels against loops, and runs that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from math import prod

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from lorascope.files import read_json, read_table
from lorascope.sparse.accounting import SampleCost, Tally, count_flops
from lorascope.sparse.augment import augment
from lorascope.sparse.images import TRAIN, open_images
from lorascope.sparse.optimizer import AdamW
from lorascope.sparse.settings import TrainSettings
from lorascope.sparse.train import CHECKPOINT, train
from lorascope.sparse.training import Training
from lorascope.sparse.vit import ViT, ViTSettings

TINY = {"epochs": 3, "batch": 16, "crop": 1, "flip": True}
TINY["vit"] = {"patch": 4, "width": 16, "depth": 1, "heads": 2, "mlp_ratio": 2, "dropout": 0.1}
TIMES = ("seconds", "cpu_seconds")


def settings(gate, **changes):
    return TrainSettings.from_json({"gate": gate, **TINY, **changes})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Prepared images of two classes that a glance tells apart: bright above, or bright below."""
    folder, rng, n = tmp_path_factory.mktemp("images"), np.random.default_rng(0), 160
    classes = np.arange(n) % 2
    pixels = rng.integers(0, 120, (n, 8, 8, 1))
    pixels[classes == 0, :4] += 130
    pixels[classes == 1, 4:] += 130
    parts = np.repeat([0, 1, 2], [96, 32, 32]).astype(np.int8)
    arrays = {"images": pixels.astype(np.uint8), "labels": classes.astype(np.int64), "parts": parts}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    shown = pixels[parts == 0] / 255
    about = {"name": "halves", "classes": ["above", "below"], "mean": [shown.mean()], "std": [shown.std()]}
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


def outcome(folder):
    """Return what two runs that are the same must share: all columns but times, and the weights."""
    table = read_table(folder / "epochs.parquet").drop_columns(list(TIMES))
    return table.replace_schema_metadata(None), load_file(folder / "model.safetensors")


def assert_same(one, other):
    assert one[0].equals(other[0])
    assert one[1].keys() == other[1].keys()
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


# costs


def test_flops_against_a_count_by_hand():
    sizes = ViTSettings(patch=4, width=32, depth=3, heads=4, mlp_ratio=2)
    cost = count_flops(ViT(sizes, 3, 16, 10), (3, 16, 16))
    tokens, patches, width, hidden = 17, 16, 32, 64
    embed, head = 2 * patches * 3 * 16 * width, 2 * width * 10
    linear = 2 * tokens * (width * 3 * width + width * width + 2 * width * hidden)
    attention = 2 * 2 * tokens * tokens * width
    forward = embed + 3 * (linear + attention) + head
    # Backward: a product for the weights and one for the input, which the pixels need none of.
    assert cost == SampleCost(forward, 2 * forward - embed)


def test_counting_leaves_the_random_numbers_alone():
    model = ViT(ViTSettings(patch=4, dropout=0.5), 1, 8, 2)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    count_flops(model, (1, 8, 8))
    assert torch.equal(torch.rand(3), expected)


def test_an_epoch_adds_up():
    row = Tally(trained=30, skipped=70, scored=100, loss_sum=15.0).row(SampleCost(7, 13))
    assert (row["flops_forward"], row["flops_backward"], row["flops_scoring"]) == (210, 390, 700)
    assert (row["energy_used"], row["energy_dense"]) == (307.0, 1000.0)
    assert (row["train_loss"], row["activation_rate"]) == (0.5, 0.3)


def test_an_epoch_without_a_step_has_no_loss():
    row = Tally(skipped=10).row(SampleCost(7, 13))
    assert row["train_loss"] is None
    assert row["activation_rate"] == 0


# pixels


def test_augmentation_against_a_loop():
    pixels = torch.rand(40, 2, 6, 6)
    found = augment(pixels, 2, True, torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(0)
    offsets = torch.randint(5, (2, 40, 1), generator=draws)
    mirrored = torch.rand(40, 1, generator=draws) < 0.5
    framed = np.pad(pixels.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    for i in range(40):
        row, column = offsets[0, i, 0], offsets[1, i, 0]
        expected = framed[i, :, row : row + 6, column : column + 6]
        np.testing.assert_array_equal(found[i].numpy(), expected[..., ::-1] if mirrored[i] else expected)


def test_no_augmentation_is_none():
    pixels = torch.rand(3, 1, 4, 4)
    assert augment(pixels, 0, False, torch.Generator()) is pixels


def test_flips_alone_mirror():
    pixels = torch.rand(64, 1, 4, 4)
    found = augment(pixels, 0, True, torch.Generator().manual_seed(0))
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(found, pixels, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(found, pixels, strict=True)]
    assert sum(mirrored) + sum(same) == 64
    assert 10 < sum(mirrored) < 54


def test_pixels_are_normalised(images):
    training = Training(open_images(images), settings("dense"), 0, "cpu")
    pixels = training.parts[TRAIN].pixels(slice(None))
    assert pixels.shape == (96, 1, 8, 8)
    assert abs(pixels.mean()) < 1e-5
    assert abs(pixels.std() - 1) < 1e-2
    torch.testing.assert_close(training.parts[TRAIN].spread(), pixels.flatten(1).std(dim=1))


# model and optimizer


def test_attention_against_torch_s_own_layer():
    torch.manual_seed(0)
    sizes = ViTSettings(patch=4, width=16, depth=1, heads=4, dropout=0.0)
    block = ViT(sizes, 1, 8, 2).blocks[0]
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    own = block.state_dict()
    names = {"self_attn.in_proj_": "queries_keys_values.", "self_attn.out_proj.": "attention_out."}
    names |= {
        "linear1.": "mlp_in.",
        "linear2.": "mlp_out.",
        "norm1.": "attention_norm.",
        "norm2.": "mlp_norm.",
    }
    state = {
        f"{theirs}{end}": own[f"{ours}{end}"] for theirs, ours in names.items() for end in ("weight", "bias")
    }
    layer.load_state_dict(state)
    x = torch.randn(5, 7, 16)
    torch.testing.assert_close(block(x), layer(x), rtol=1e-4, atol=1e-5)


def test_the_optimizer_against_torch_s_own():
    torch.manual_seed(0)
    ours = torch.nn.Linear(4, 3)
    theirs = torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    mine, reference = AdamW(ours, 0.1), torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(5):
        x = torch.randn(6, 4) * 10 ** (step - 2)
        mine.step(list(torch.autograd.grad(ours(x).square().sum(), list(ours.parameters()))), 0.01, 1.0)
        reference.zero_grad()
        theirs(x).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize(
    ("sizes", "pattern"),
    [
        ({"patch": 3}, "sparse.vit.patch: 3 does not divide the images' side of 8"),
        ({"heads": 3}, "sparse.vit.heads: 3 does not divide the width of 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(refused, images, sizes, pattern):
    with refused(pattern):
        Training(open_images(images), settings("dense", vit={**TINY["vit"], **sizes}), 0, "cpu")


# runs


@pytest.mark.parametrize(
    "gate", ["dense", "uniform@0.3", "sundew@0.15", "loss_topk@0.2", "infobatch", "free_loss@0.4"]
)
def test_a_run_learns_and_accounts(images, tmp_path, gate):
    lines = list(train(images, settings(gate, epochs=12, learning_rate=0.01), 7, "cpu", tmp_path, {}))
    rows = read_table(tmp_path / "epochs.parquet").to_pylist()
    assert len(lines) == len(rows) == 12
    assert all(row["samples_trained"] + row["samples_skipped"] == 96 for row in rows)
    scores = gate.startswith(("sundew", "loss_topk"))
    cost = read_json(tmp_path / "run.json")["flops_per_sample"]
    # The biased ones have seen too little by then.
    assert scores or rows[-1]["validation_accuracy"] >= 0.9
    for row in rows:
        assert row["flops_scoring"] == (96 * cost["forward"] if scores else 0)
        assert row["flops_backward"] == row["samples_trained"] * cost["backward"]
    assert not (tmp_path / CHECKPOINT).exists()
    assert "loss " in lines[0]
    assert "val acc " in lines[0]


def test_a_dense_step_is_plain_training(images):
    """Two epochs of the loop, against the same mathematics with torch's own optimizer."""
    plain = settings("dense", epochs=2, crop=0, flip=False, vit={**TINY["vit"], "dropout": 0.0})
    training = Training(open_images(images), plain, 3, "cpu")
    reference = Training(open_images(images), plain, 3, "cpu").model
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1.0, weight_decay=plain.weight_decay)
    part, steps = training.parts[TRAIN], 0
    for epoch in (1, 2):
        training.train_epoch(epoch)
        order = torch.randperm(96, generator=torch.Generator().manual_seed(3 * plain.epochs + epoch))
        for rows in order.split(16):
            optimizer.param_groups[0]["lr"] = plain.learning_rate * (1 + np.cos(np.pi * steps / 12)) / 2
            optimizer.zero_grad()
            functional.cross_entropy(reference(part.pixels(rows)), part.classes[rows]).backward()
            torch.nn.utils.clip_grad_norm_(reference.parameters(), plain.clip)
            optimizer.step()
            steps += 1
    # Logits, not weights: no loss depends on the bias of the keys, where AdamW blows rounding errors up.
    for model in (training.model.eval(), reference.eval()):
        torch.testing.assert_close(
            model(part.pixels(rows)), reference(part.pixels(rows)), rtol=1e-3, atol=1e-4
        )


def test_an_epoch_without_activations_trains_nothing(images):
    training = Training(open_images(images), settings("uniform@0.001"), 0, "cpu")
    before = {name: weight.clone() for name, weight in training.model.state_dict().items()}
    row = training.train_epoch(1)
    assert row["samples_trained"] == 0
    assert row["train_loss"] is None
    assert all(torch.equal(before[name], weight) for name, weight in training.model.state_dict().items())


@pytest.mark.parametrize(
    "gate", ["dense", "uniform@0.3", "sundew@0.15", "loss_topk@0.2", "infobatch", "free_loss@0.4"]
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(images, tmp_path, gate):
    run = (images, settings(gate), 7, "cpu")
    whole = list(train(*run, tmp_path / "whole", {}))
    interrupted = train(*run, tmp_path / "cut", {})
    lines = [next(interrupted)]
    interrupted.close()
    rest = list(train(*run, tmp_path / "cut", {}))
    assert [line.rpartition(",")[0] for line in lines + rest] == [line.rpartition(",")[0] for line in whole]
    assert_same(outcome(tmp_path / "cut"), outcome(tmp_path / "whole"))


def test_kill_9_in_an_epoch_resumes_with_it(images, tmp_path):
    """The real command, killed while epoch 2 or a later one is under way."""
    epochs = 60
    given = json.dumps({"gate": "sundew@0.15", **TINY, "epochs": epochs})
    command = [
        sys.executable,
        "-m",
        "lorascope.cli",
        "sparse-train",
        "--images",
        str(images),
        "--settings",
        given,
    ]
    command += ["--seed", "7", "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    first = [process.stderr.readline(), process.stderr.readline()]
    time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert f"epoch 2/{epochs}" in first[1]
    assert not (tmp_path / "killed/epochs.parquet").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    resumed = [line for line in again.stderr.splitlines() if "epoch" in line]
    assert 0 < len(resumed) <= epochs - 2
    list(train(images, settings("sundew@0.15", epochs=epochs), 7, "cpu", tmp_path / "whole", {}))
    assert_same(outcome(tmp_path / "killed"), outcome(tmp_path / "whole"))


def test_seeds_differ(images):
    losses = [Training(open_images(images), settings("dense"), k, "cpu").train_epoch(1) for k in (0, 1)]
    assert losses[0]["train_loss"] != losses[1]["train_loss"]


def test_the_caller_s_random_numbers_are_left_alone(images):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Training(open_images(images), settings("dense"), 5, "cpu").train_epoch(1)
    assert torch.equal(torch.rand(3), expected)


def test_bfloat16_trains(images):
    training = Training(open_images(images), settings("dense", precision="bfloat16"), 0, "cpu")
    assert training.train_epoch(1)["train_loss"] < 2


def test_a_checkpoint_of_another_run_is_refused(refused, images, tmp_path):
    next(train(images, settings("dense"), 7, "cpu", tmp_path, {}))
    with refused("checkpoint.safetensors: of another run; delete it or choose another folder"):
        next(train(images, settings("dense", batch=8), 7, "cpu", tmp_path, {}))


def test_a_damaged_checkpoint_is_refused(refused, images, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    with refused("checkpoint.safetensors: not a readable safetensors file .*; delete it and run again"):
        next(train(images, settings("dense"), 7, "cpu", tmp_path, {}))


def test_a_loss_that_is_not_finite_is_refused(refused, images, tmp_path):
    with refused("the loss is not finite; lower sparse.learning_rate"):
        list(train(images, settings("dense", learning_rate=1e30), 7, "cpu", tmp_path, {}))


def test_the_columns_are_those_of_the_interface(images, tmp_path):
    list(train(images, settings("sundew@0.15", epochs=1), 7, "cpu", tmp_path, {"key": "k"}))
    table = read_table(tmp_path / "epochs.parquet")
    assert {table.schema.field(name).type for name in TIMES} == {pa.float64()}
    row = table.to_pylist()[0]
    assert all(value is not None for value in row.values())
    about = read_json(tmp_path / "run.json")
    assert about["settings"]["vit"] == TINY["vit"]
    assert about["parameters"] == sum(
        prod(t.shape) for t in load_file(tmp_path / "model.safetensors").values()
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("gate", ["dense", "sundew@0.15", "infobatch", "free_loss@0.4"])
def test_a_gpu_learns_as_well(images, tmp_path, gate):
    list(train(images, settings(gate, epochs=12, learning_rate=0.01), 7, "cuda", tmp_path, {}))
    assert read_table(tmp_path / "epochs.parquet").to_pylist()[-1]["validation_accuracy"] >= 0.9
    assert read_json(tmp_path / "run.json")["precision"] == "bfloat16"
