"""LoHa, LoKr and Tucker convolutions in factor form, against lycoris-lora's ΔW."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lycoris import LycorisNetwork, create_lycoris, functional
from safetensors.torch import save_file
from torch import nn

from adapter_files import assert_same_deltas, deltas
from lorascope.adapters.files import read_adapter
from lorascope.adapters.formats.modules import MIN_EXPANDED_BYTES

STEM, LAYER = "lora_unet_mid_block_resnets_0_conv1", "mid_block.resnets.0.conv1"
SHAPES = {"projection": (12, 20), "convolution": (12, 8, 3, 3)}


def random_parts(*weights) -> list[torch.Tensor | None]:
    """Fill what lycoris has laid out; its own start values hold zeros."""
    generator = torch.Generator().manual_seed(0)
    return [
        weight if weight is None else torch.randn(weight.shape, generator=generator) for weight in weights
    ]


def read_one(tmp_path: Path, parts: dict[str, torch.Tensor | None], alpha: float | None):
    """Write one module as LyCORIS names it and read it back."""
    tensors = {f"{STEM}.{role}": value for role, value in parts.items() if value is not None}
    if alpha is not None:
        tensors[f"{STEM}.alpha"] = torch.tensor(alpha)
    save_file(tensors, tmp_path / "a.safetensors")
    return read_adapter(tmp_path / "a.safetensors")


def check(adapter, family: str, expected: torch.Tensor):
    assert adapter.family == family
    assert_same_deltas(deltas(adapter), {LAYER: expected.flatten(1).numpy()})
    d_out, d_in, rank = adapter.shapes[LAYER]
    factors = adapter.layers[LAYER]
    assert (factors.up.shape, factors.down.shape) == ((d_out, rank), (rank, d_in))
    assert rank <= min(d_out, d_in)
    np.testing.assert_allclose(adapter.layers.norm(LAYER), expected.norm(), rtol=1e-4)


@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dim", [2, 5])
def test_loha(tmp_path, shape, tucker, dim, alpha):
    if len(shape) > 2 and not tucker:
        shape = (shape[0], int(np.prod(shape[1:])))  # LyCORIS flattens the kernel
    weights = random_parts(*functional.loha.weight_gen(torch.empty(shape), dim, tucker))
    w1d, w1u, w2d, w2u, t1, t2 = weights
    parts = {
        "hada_w1_a": w1u,
        "hada_w1_b": w1d,
        "hada_w2_a": w2u,
        "hada_w2_b": w2d,
        "hada_t1": t1,
        "hada_t2": t2,
    }
    expected = functional.loha.diff_weight(*weights, gamma=(alpha or dim) / dim)
    check(read_one(tmp_path, parts, alpha), "LoHa", expected)


@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dim", [1, 2, 20])
def test_lokr(tmp_path, shape, dim, both, tucker, alpha):
    tucker = tucker and len(shape) > 2
    generated = functional.lokr.weight_gen(torch.empty(shape), dim, tucker, decompose_both=both, factor=4)
    weights = random_parts(*generated)
    names = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    # Two whole factors have no rank to divide alpha by.
    whole = weights[0] is not None and weights[3] is not None
    gamma = 1 if whole or alpha is None else alpha / dim
    adapter = read_one(tmp_path, dict(zip(names, weights, strict=True)), alpha)
    check(adapter, "LoKr", functional.lokr.kron_weight(*weights, scale=gamma))


@pytest.mark.parametrize("tucker", [False, True])
def test_locon(tmp_path, tucker):
    shape = SHAPES["convolution"]
    down, up, mid = random_parts(*functional.locon.weight_gen(torch.empty(shape), 4, tucker=True))
    if not tucker:
        down, mid = torch.randn(4, *shape[1:], generator=torch.Generator().manual_seed(1)), None
    parts = {"lora_down.weight": down, "lora_up.weight": up, "lora_mid.weight": mid}
    expected = functional.locon.diff_weight(down, up, mid, gamma=0.5)
    check(read_one(tmp_path, parts, alpha=2.0), "kohya-ss", expected)


def test_a_network_as_lycoris_saves_it(tmp_path):
    torch.manual_seed(0)
    model = nn.ModuleDict({"to_q": nn.Linear(20, 12), "to_k": nn.Linear(20, 12)})
    LycorisNetwork.apply_preset({"enable_conv": False, "target_module": ["Linear"]})
    network = create_lycoris(model, linear_dim=3, linear_alpha=6, algo="loha")
    network.apply_to()
    for weight in network.parameters():
        weight.data.normal_()
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    # The forward pass adds get_weight: ΔW with its scale.
    expected = {
        lora.lora_name.removeprefix("lycoris_"): lora.get_weight(lora.shape).detach().numpy()
        for lora in network.loras
    }
    assert_same_deltas(deltas(read_adapter(tmp_path / "a.safetensors")), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hada_w1_a": None}, "it lacks hada_w1_a"),
        ({"hada_w1_a": torch.ones(12, 3)}, "ranks of hada_w1_a and hada_w1_b: 3 and 2"),
        ({"hada_w1_a": torch.ones(11, 2)}, "d_out of the two halves: 11 and 12"),
        ({"hada_t1": torch.ones(2, 2, 3, 3)}, "hada_t1 and hada_t2"),
        ({"lokr_w1": torch.ones(2, 2)}, "is LoHa and LoKr at once"),
    ],
)
def test_a_broken_loha_is_refused(tmp_path, refused, change, message):
    parts = {"hada_w1_a": (12, 2), "hada_w1_b": (2, 20), "hada_w2_a": (12, 2), "hada_w2_b": (2, 20)}
    tensors = {role: torch.ones(shape) for role, shape in parts.items()}
    with refused(message):
        read_one(tmp_path, tensors | change, None)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"lokr_w1": (2, 2)}, "it lacks lokr_w2_a and lokr_w2_b"),
        ({"lokr_w1": (2, 2), "lokr_w2": (3, 3), "lokr_w2_a": (3, 1)}, "it has lokr_w2_a beside"),
        ({"lokr_w1": (2, 2, 3), "lokr_w2": (3, 3)}, "lokr_w1 is a convolution"),
        (
            {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 2), "lokr_w2_a": (3, 2), "lokr_w2_b": (2, 3)},
            "ranks of lokr_w1 and lokr_w2: 1 and 2",
        ),
        (
            {"lokr_w1": (2, 2), "lokr_w2_a": (2, 3), "lokr_w2_b": (2, 3), "lokr_t2": (2, 1, 3, 3)},
            "lokr_t2 has shape",
        ),
    ],
)
def test_a_broken_lokr_is_refused(tmp_path, refused, shapes, message):
    with refused(message):
        read_one(tmp_path, {role: torch.ones(shape) for role, shape in shapes.items()}, None)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path, refused):
    wide = {"lokr_w1_a": (4000, 1), "lokr_w1_b": (1, 4000), "lokr_w2_a": (4000, 1), "lokr_w2_b": (1, 4000)}
    assert MIN_EXPANDED_BYTES < 4 * 2 * 4000**2
    adapter = read_one(tmp_path, {role: torch.ones(shape) for role, shape in wide.items()}, None)
    assert adapter.layers.norm(LAYER) == 4000**2
    with refused("as LoKr it would take 122 MiB, more than the 64 MiB"):
        adapter.layers[LAYER]
