"""Conversion between families: exact there and back, and the real libraries load what is written."""

import json

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, inject_adapter_in_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adapter_files import (
    ATTENTION,
    PATTERNS,
    adapted_unet,
    assert_same_deltas,
    deltas,
    kohya_tensors,
    peft_deltas,
    tiny_unet,
    write_kohya,
    write_lora_adapter,
    write_old_diffusers,
    write_peft,
    write_pipeline_lora,
)
from lorascope.adapters.certify import apply_raw, certify
from lorascope.adapters.convert import convert
from lorascope.adapters.files import read_adapter

FAMILIES = ("diffusers", "kohya", "peft")


@pytest.fixture(scope="module")
def unet():
    return adapted_unet(lora_alpha=6, **PATTERNS)


@pytest.fixture(scope="module")
def written(unet, tmp_path_factory):
    """One adapter as each family's own library writes it."""
    folder = tmp_path_factory.mktemp("written")
    return {
        "diffusers": write_pipeline_lora(unet, folder / "pipeline"),
        "kohya": write_kohya(unet, folder / "kohya.safetensors", torch.bfloat16, ss_output_name="cat"),
        "peft": write_peft(tiny_unet(), folder / "peft", lora_alpha=6, **PATTERNS)[0],
    }


def content(path):
    """Tensors of a file or PEFT folder by name: type, shape, values."""
    tensors = load_file(path / "adapter_model.safetensors" if path.is_dir() else path)
    return {name: (value.dtype, value.shape, value.tolist()) for name, value in tensors.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("other", FAMILIES)
def test_there_and_back_is_exact(written, tmp_path, family, other):
    source = read_adapter(written[family])
    convert(source, other, tmp_path / "there")
    there = read_adapter(tmp_path / "there")
    convert(there, family, tmp_path / "back")
    assert content(tmp_path / "back") == content(written[family])
    back = read_adapter(tmp_path / "back")
    assert {layer: module.scale for layer, module in back.modules.items()} == {
        layer: module.scale for layer, module in source.modules.items()
    }
    assert max(certify(source, there).values()) < 1e-6
    assert {name: back.metadata.get(name) for name in source.metadata if name.startswith("ss_")} == {
        name: text for name, text in source.metadata.items() if name.startswith("ss_")
    }


def test_old_diffusers_and_bare_names_convert(unet, tmp_path):
    attention = adapted_unet(target_modules=ATTENTION)
    for name, path in (
        ("old", write_old_diffusers(attention, tmp_path / "old.safetensors")),
        ("bare", write_lora_adapter(unet, tmp_path / "bare")),
    ):
        source = read_adapter(path)
        convert(source, "kohya", tmp_path / f"{name}.kohya")
        assert max(certify(source, read_adapter(tmp_path / f"{name}.kohya")).values()) < 1e-6


def test_the_names_of_diffusers_training_scripts_come_back(tmp_path):
    path = write_pipeline_lora(adapted_unet(target_modules=ATTENTION), tmp_path / "a", peft_names=False)
    assert all(".lora.down" in name or ".lora.up" in name for name in content(path))
    convert(read_adapter(path), "peft", tmp_path / "there")
    convert(read_adapter(tmp_path / "there"), "diffusers", tmp_path / "back")
    assert content(tmp_path / "back") == content(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_loads_what_is_written_for_it(written, unet, tmp_path, family):
    convert(read_adapter(written[family]), "diffusers", tmp_path / "a.safetensors")
    fresh = tiny_unet()
    fresh.load_lora_adapter(tmp_path, weight_name="a.safetensors", prefix="unet", adapter_name="default")
    assert_same_deltas(peft_deltas(fresh.float()), peft_deltas(unet), 2e-2 if family == "kohya" else 1e-6)


def test_peft_loads_what_is_written_for_it(written, unet, tmp_path):
    convert(read_adapter(written["diffusers"]), "peft", tmp_path / "peft")
    assert_same_deltas(
        peft_deltas(PeftModel.from_pretrained(tiny_unet(), tmp_path / "peft")), peft_deltas(unet)
    )


def test_diffusers_reads_the_kohya_file(written, unet, tmp_path):
    convert(read_adapter(written["peft"]), "kohya", tmp_path / "a.safetensors")
    assert content(tmp_path / "a.safetensors") == content(
        write_kohya(unet, tmp_path / "expected.safetensors")
    )
    state, alphas = _convert_non_diffusers_lora_to_diffusers(load_file(tmp_path / "a.safetensors"))
    assert len(alphas) == len(state) // 2 == len(peft_deltas(unet))


def test_rslora_becomes_an_alpha_with_the_same_scale(tmp_path):
    folder, model = write_peft(tiny_unet(), tmp_path / "a", r=3, lora_alpha=7, use_rslora=True)
    for family in FAMILIES:
        convert(read_adapter(folder), family, tmp_path / family)
        assert_same_deltas(deltas(read_adapter(tmp_path / family)), peft_deltas(model), 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_loha_lokr_and_tucker_become_lora(tmp_path, family):
    shapes = {
        "lora_unet_mid_block_resnets_0_conv1": {
            "hada_w1_a": (16, 2), "hada_w1_b": (2, 144), "hada_w2_a": (16, 2), "hada_w2_b": (2, 144),
        },
        "lora_unet_mid_block_resnets_0_conv2": {
            "lokr_w1": (2, 2), "lokr_w2_a": (2, 8), "lokr_w2_b": (2, 8), "lokr_t2": (2, 2, 3, 3),
        },
        "lora_unet_mid_block_resnets_1_conv1": {
            "lora_down.weight": (2, 16, 1, 1), "lora_mid.weight": (2, 2, 3, 3), "lora_up.weight": (16, 2),
        },
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{stem}.{role}": torch.randn(shape, generator=generator)
        for stem, parts in shapes.items()
        for role, shape in parts.items()
    }
    tensors |= {f"{stem}.alpha": torch.tensor(3.0) for stem in shapes}
    save_file(tensors, tmp_path / "a.safetensors")
    source = read_adapter(tmp_path / "a.safetensors")
    assert source.family == "LoHa + LoKr + kohya-ss"
    convert(source, family, tmp_path / family)
    target = read_adapter(tmp_path / family)
    assert max(certify(source, target).values()) < 1e-6
    for layer in target.modules:
        assert target.modules[layer].sizes.kernel == (3, 3)


def test_a_changed_weight_is_not_certified(written, tmp_path, refused):
    source = read_adapter(written["diffusers"])
    tensors = load_file(written["diffusers"])
    name = next(name for name in tensors if "conv1" in name)
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[5] += 0.01
    with safe_open(written["diffusers"], "pt") as file:
        save_file(tensors, tmp_path / "a.safetensors", file.metadata())
    with refused("conv1: ΔW·x is off by .* of its size"):
        certify(source, read_adapter(tmp_path / "a.safetensors"))


def test_a_wrong_scale_is_not_certified(unet, tmp_path, refused):
    path = write_kohya(unet, tmp_path / "a.safetensors")
    tensors = {name: value for name, value in load_file(path).items() if not name.endswith("alpha")}
    save_file(tensors, tmp_path / "b.safetensors")
    with refused("ΔW·x is off by"):
        certify(read_adapter(path), read_adapter(tmp_path / "b.safetensors"))


def test_raw_tensors_give_pefts_product(unet, tmp_path):
    adapter = read_adapter(write_kohya(unet, tmp_path / "a.safetensors"))
    for layer, delta in peft_deltas(unet).items():
        x = np.linspace(-1, 1, delta.shape[1])
        expected = delta.astype(float) @ x
        found = apply_raw(adapter.header, adapter.modules[layer], x)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_what_has_no_place_is_refused(written, tmp_path, refused):
    source = read_adapter(written["kohya"])
    with refused("exists; name another file"):
        convert(source, "peft", tmp_path)
    tensors = {
        f"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_{side}.weight": torch.ones(4, 4)
        for side in ("down", "up")
    }
    save_file(tensors | load_file(written["kohya"]), tmp_path / "both.safetensors")
    with refused("it adapts .*unet.* a PEFT folder holds one model"):
        convert(read_adapter(tmp_path / "both.safetensors"), "peft", tmp_path / "peft")
    language = {f"base_model.model.layers.0.q_proj.lora_{side}.weight": torch.ones(4, 4) for side in "AB"}
    save_file(language, tmp_path / "language.safetensors")
    with refused("layers.0.q_proj is a layer of no known network"):
        convert(read_adapter(tmp_path / "language.safetensors"), "kohya", tmp_path / "kohya")
    language = {name.replace("q_proj", "self_attn.q_proj"): value for name, value in language.items()}
    save_file(language, tmp_path / "llama.safetensors")
    for family in ("kohya", "diffusers", "comfyui"):
        with refused("layers.0.self_attn.q_proj belongs to no UNet, transformer or text encoder"):
            convert(read_adapter(tmp_path / "llama.safetensors"), family, tmp_path / family)


def test_text_encoders_convert(tmp_path):
    stems = ("te1_text_model_encoder_layers_0_self_attn_q_proj", "te2_text_model_encoder_layers_1_mlp_fc2")
    tensors = {
        f"lora_{stem}.lora_{side}.weight": torch.ones(4, 4) for stem in stems for side in ("down", "up")
    }
    tensors |= {f"lora_{stem}.alpha": torch.tensor(2.0) for stem in stems}
    save_file(tensors, tmp_path / "a.safetensors")
    convert(read_adapter(tmp_path / "a.safetensors"), "diffusers", tmp_path / "b")
    assert set(load_file(tmp_path / "b")) == {
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight",
        "text_encoder_2.text_model.encoder.layers.1.mlp.fc2.lora_A.weight",
        "text_encoder_2.text_model.encoder.layers.1.mlp.fc2.lora_B.weight",
    }
    convert(read_adapter(tmp_path / "b"), "kohya", tmp_path / "c")
    assert content(tmp_path / "c") == content(tmp_path / "a.safetensors")


UNETS = {
    "Stable Diffusion 1.x": {"cross_attention_dim": 768},
    "Stable Diffusion XL": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


@pytest.mark.parametrize("base", UNETS)
def test_the_base_model_is_guessed_from_names_and_shapes(base, tmp_path):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[base])
        inject_adapter_in_model(LoraConfig(r=1, target_modules=["to_k"]), unet)
    tensors = {name: torch.zeros(value.shape) for name, value in get_peft_model_state_dict(unet).items()}
    save_file(tensors, tmp_path / "a.safetensors", {"ss_base_model_version": "sd_v2"})
    # Kolors has the same attentions as Stable Diffusion XL: only a header that names one can choose.
    expected = {"Stable Diffusion XL": "Stable Diffusion XL or Kolors"}.get(base, base)
    assert read_adapter(tmp_path / "a.safetensors").base_model == expected
    convert(read_adapter(tmp_path / "a.safetensors"), "kohya", tmp_path / "b")
    sgm = any("input_blocks" in name for name in load_file(tmp_path / "b"))
    assert sgm == (base == "Stable Diffusion XL")
    assert read_adapter(tmp_path / "b").base_model == expected


def test_an_unknown_base_is_unknown_with_the_nearest_and_what_the_file_says(unet, tmp_path):
    path = write_kohya(unet, tmp_path / "a.safetensors", ss_base_model_version="tiny\n\x1b[31m")
    adapter = read_adapter(path)
    assert adapter.base_model is None
    nearest, said = adapter.notes
    assert "the nearest is Stable Diffusion" in nearest
    assert "320 × 320, here 8 × 8" in nearest
    assert "tiny [31m" in said
    assert len(read_adapter(write_kohya(unet, tmp_path / "b.safetensors")).notes) == 1


def test_the_configuration_in_the_header_is_pefts(unet, tmp_path):
    save_file(kohya_tensors(unet), tmp_path / "a.safetensors")
    convert(read_adapter(tmp_path / "a.safetensors"), "diffusers", tmp_path / "b")
    config = json.loads(read_adapter(tmp_path / "b").metadata["lora_adapter_metadata"])
    assert all(name.startswith("unet.") for name in config)
    LoraConfig(**{name.removeprefix("unet."): value for name, value in config.items()})
