"""Names of matrices: every spelling leads to one layer, and what does not make up whole layers is refused."""

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model

import published
from lorascope.adapters.architectures import sd15_shapes
from lorascope.adapters.names import (
    DOWN,
    UP,
    MatrixInfo,
    attention_of,
    block_of,
    check_matrices,
    parse_matrix_name,
    projection_of,
)

STEM = "down_blocks.0.attentions.1.transformer_blocks.0.attn2"
LAYER = f"{STEM}.to_v"


@pytest.mark.parametrize("prefix", ["", "unet.", "base_model.model.", "base_model.model.unet."])
@pytest.mark.parametrize(
    ("path", "down", "up"),
    [
        (f"{STEM}.to_v", ".lora.down.weight", ".lora.up.weight"),
        (f"{STEM}.processor.to_v", "_lora.down.weight", "_lora.up.weight"),
        (f"{STEM}.to_v", ".lora_A.weight", ".lora_B.weight"),
        (f"{STEM}.to_v", ".lora_A.default.weight", ".lora_B.default.weight"),
    ],
    ids=["diffusers", "old diffusers", "PEFT", "PEFT with the adapter's name"],
)
def test_every_spelling_is_the_same_layer(prefix, path, down, up):
    assert parse_matrix_name(prefix + path + down) == (LAYER, DOWN)
    assert parse_matrix_name(prefix + path + up) == (LAYER, UP)


def test_the_output_projection_is_one_layer_in_every_spelling():
    spellings = (
        f"{STEM}.to_out.0.lora.down.weight",
        f"{STEM}.processor.to_out_lora.down.weight",
        f"{STEM}.to_out.0.lora_A.weight",
    )
    assert {parse_matrix_name(name) for name in spellings} == {(f"{STEM}.to_out.0", DOWN)}


@pytest.mark.parametrize(
    "column",
    [
        "category_label",
        "step_loss",
        f"{LAYER}.weight",
        f"{LAYER}.lora.down.bias",
        f"{LAYER}.lora_A.weight.extra",
        f"{LAYER}.lora_C.weight",
        f"{LAYER}.alpha",
        "lora.down.weight",
        "",
    ],
)
def test_other_columns_are_no_matrices(column):
    assert parse_matrix_name(column) is None


@pytest.fixture(scope="module")
def sd15():
    """Stable Diffusion 1.5's UNet with rank-1 adapters on to_q and to_v, without memory for its weights."""
    with torch.device("meta"):
        # diffusers' defaults are Stable Diffusion's but for the width of the text.
        unet = UNet2DConditionModel(cross_attention_dim=768)
        inject_adapter_in_model(LoraConfig(r=1, target_modules=["to_q", "to_v"]), unet)
    return unet


def test_what_peft_writes_for_stable_diffusion_is_the_published_set(sd15):
    written = {name: tuple(value.shape) for name, value in get_peft_model_state_dict(sd15).items()}
    found = {parse_matrix_name(name): shape for name, shape in written.items()}
    assert found == {parse_matrix_name(name): shape for name, shape in published.columns().items()}


def test_known_layers_are_those_of_the_published_columns():
    assert sd15_shapes() == published.layers()
    assert list(dict.fromkeys(parse_matrix_name(name)[0] for name in published.columns())) == list(
        sd15_shapes()
    )


def test_only_key_and_value_of_cross_attention_read_the_text():
    reading = [
        layer for layer, (_, d_in) in sd15_shapes(("to_q", "to_k", "to_v", "to_out.0")).items() if d_in == 768
    ]
    assert {(attention_of(layer), projection_of(layer)) for layer in reading} == {
        ("attn2", "to_k"),
        ("attn2", "to_v"),
    }
    assert len(reading) == 32


def published_matrices() -> list[MatrixInfo]:
    return [MatrixInfo(name, *parse_matrix_name(name), *shape) for name, shape in published.columns().items()]


def test_the_published_columns():
    matrices = published_matrices()
    assert len(matrices) == 128
    assert len({matrix.layer for matrix in matrices}) == 64
    assert sum(attention_of(matrix.layer) == "attn1" for matrix in matrices) == 64
    assert sum(attention_of(matrix.layer) == "attn2" for matrix in matrices) == 64
    assert sum(matrix.size for matrix in matrices) == 99_648
    assert {min(matrix.rows, matrix.cols) for matrix in matrices} == {1}
    assert len({matrix.name for matrix in matrices}) == 128
    check_matrices(matrices, "published")


def test_parts_of_a_layer_path():
    assert attention_of(LAYER) == "attn2"
    assert block_of(LAYER) == "down_blocks.0"
    assert projection_of(LAYER) == "to_v"
    assert block_of("mid_block.attentions.0.transformer_blocks.0.attn1.to_q") == "mid_block"
    assert block_of("up_blocks.12.attentions.0.attn1.to_q") == "up_blocks.12"
    assert projection_of(f"{STEM}.to_out.0") == "to_out.0"


@pytest.mark.parametrize(
    "layer", ["mid_block.resnets.0.conv1", "down_blocks.0.attentions.0.proj_in", "attn12.to_q"]
)
def test_other_layers_have_no_attention(layer):
    assert attention_of(layer) is None


def test_text_encoders_are_in_no_block():
    assert block_of("text_encoder.layers.0.self_attn.q_proj") == "other"
    assert projection_of("text_encoder.layers.0.self_attn.q_proj") == "q_proj"


def test_no_matrix_is_refused(refused):
    with refused("^here: no column names a LoRA matrix"):
        check_matrices([], "here")


def test_layers_that_are_neither_attn1_nor_attn2_are_listed(refused):
    strangers = [
        MatrixInfo(f"{layer}.lora.{side}.weight", layer, side, 1, 1)
        for layer in ("mid_block.resnets.0.conv1", "mid_block.attentions.0.ff.net.2")
        for side in (DOWN, UP)
    ]
    with refused(
        "neither attn1 nor attn2: .*conv1.lora.down.weight, .*conv1.lora.up.weight, .*net.2.lora.down"
    ):
        check_matrices(published_matrices() + strangers, "here")


def test_a_long_list_of_strangers_is_cut(refused):
    strangers = [MatrixInfo(f"layer{i}.lora.down.weight", f"layer{i}", DOWN, 1, 1) for i in range(20)]
    with refused("layer7.lora.down.weight and 12 more"):
        check_matrices(strangers, "here")


@pytest.mark.parametrize(("lost", "side"), [(0, "down"), (1, "up")])
def test_a_missing_factor_is_refused(refused, lost, side):
    matrices = published_matrices()
    del matrices[lost]
    with refused(rf"layer {matrices[0].layer} lacks its {side} matrix"):
        check_matrices(matrices, "here")


def test_factors_of_different_rank_are_refused(refused):
    matrices = published_matrices()
    matrices[0] = replace(matrices[0], rows=2)
    with refused("down has rank 2, up has rank 1"):
        check_matrices(matrices, "here")


def test_two_columns_for_one_matrix_are_refused(refused):
    matrices = published_matrices()
    twin = replace(matrices[3], column=f"unet.{matrices[3].column}")
    with refused(f"two columns for one matrix: {matrices[3].name}"):
        check_matrices([*matrices, twin], "here")
