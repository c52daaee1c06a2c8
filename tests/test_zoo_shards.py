"""Shards: whole or absent, the same bytes each time, and every adapter in them is genuine PEFT."""

import json
import warnings

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import PeftModel
from safetensors.numpy import load_file, save_file

from lorascope.errors import LorascopeError
from lorascope.zoo.architecture import Architecture, adapted_layers
from lorascope.zoo.lora import with_adapters
from lorascope.zoo.shards import Shard, export_adapter, read_shard, write_shard
from lorascope.zoo.unet import UNet

SMALL = Architecture(widths=(16, 32))
IDS = ["zoo-0007", "zoo-0008", "zoo-0009"]


def random_shard(rank: int = 2) -> Shard:
    rng = np.random.default_rng(0)
    factors = {
        layer.name: (
            rng.normal(size=(len(IDS), rank, layer.d_in)).astype(np.float32),
            rng.normal(size=(len(IDS), layer.d_out, rank)).astype(np.float32),
        )
        for layer in adapted_layers(SMALL)
    }
    return Shard(IDS, rank, rank, {"steps": 3, "init": "kaiming"}, factors)


@pytest.fixture
def path(tmp_path):
    write_shard(tmp_path / "adapters-0000.safetensors", random_shard())
    return tmp_path / "adapters-0000.safetensors"


def test_a_shard_comes_back(path):
    written, read = random_shard(), read_shard(path)
    assert read[:4] == written[:4]
    assert read.factors.keys() == written.factors.keys()
    for layer, pair in written.factors.items():
        for matrix, expected in zip(read.factors[layer], pair, strict=True):
            np.testing.assert_array_equal(matrix, expected)


def test_the_bytes_repeat(path, tmp_path):
    for i in range(5):
        write_shard(tmp_path / f"{i}.safetensors", random_shard())
        assert (tmp_path / f"{i}.safetensors").read_bytes() == path.read_bytes()


def test_keys_are_pefts(path):
    first = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = load_file(path)
    assert len(tensors) == 2 * 28
    assert tensors[f"{first}.lora_A.weight"].shape == (3, 2, 16)
    assert tensors[f"{first}.lora_B.weight"].shape == (3, 16, 2)


@pytest.mark.parametrize("row", [0, 2])
def test_an_exported_adapter_loads_with_peft_and_gives_our_outputs(path, tmp_path, row):
    export_adapter(path, IDS[row], tmp_path / "peft")
    torch.manual_seed(0)
    base = UNet(SMALL)
    theirs = UNet2DConditionModel(**SMALL.diffusers_config(8))
    theirs.load_state_dict(base.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PEFT only warns about keys that it cannot place
        model = PeftModel.from_pretrained(theirs, tmp_path / "peft")
    one = {
        name: (torch.from_numpy(A[row : row + 1]), torch.from_numpy(B[row : row + 1]))
        for name, (A, B) in random_shard().factors.items()
    }
    latents, text, timesteps = (
        torch.randn(4, 4, 8, 8),
        torch.randn(4, 4, 32),
        torch.tensor([3, 200, 600, 999]),
    )
    with torch.no_grad():
        ours = with_adapters(base, one)(latents, timesteps, text)
        torch.testing.assert_close(model(latents, timesteps, text).sample, ours, atol=1e-5, rtol=1e-4)
        assert (base(latents, timesteps, text) - ours).abs().max() > 0.01


def test_an_exported_folder_holds_what_peft_saves(path, tmp_path):
    export_adapter(path, IDS[1], tmp_path / "peft")
    assert {file.name for file in (tmp_path / "peft").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 2)


def test_an_unknown_adapter_is_refused(path, tmp_path):
    with pytest.raises(LorascopeError, match="no adapter 'zoo-0001' in here; it holds zoo-0007 to zoo-0009"):
        export_adapter(path, "zoo-0001", tmp_path / "peft")
    assert not (tmp_path / "peft").exists()


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_damaged_shards_are_refused_in_one_line(path, damage):
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        save_file({"x": np.zeros(3)}, path)
    with pytest.raises(LorascopeError, match="shard") as error:
        read_shard(path)
    assert "\n" not in str(error.value)
