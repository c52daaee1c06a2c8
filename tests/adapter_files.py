"""Adapter files as the real libraries write them, and their ΔW as those libraries compute it."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TARGETS = [*ATTENTION, "proj_in", "conv1", "ff.net.2", "time_emb_proj"]
SIDES = {"A": "down", "B": "up"}
PATTERNS = {
    "rank_pattern": {"attn2.to_v": 2, "conv1": 5},
    "alpha_pattern": {r"down_blocks\.0.*to_q": 1, "ff.net.2": 12},
}


def tiny_unet() -> UNet2DConditionModel:
    """A UNet with diffusers' own module names: two resolutions, one attention each."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Give every LoRA weight a value: a fresh B is zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_" in name or "hada_" in name or "lokr_" in name:
            weight.data = torch.randn(weight.shape, generator=generator)


def adapted_unet(**settings) -> UNet2DConditionModel:
    """A tiny UNet that carries a LoRA with random weights."""
    unet = tiny_unet()
    unet.add_adapter(LoraConfig(r=4, **{"target_modules": TARGETS, **settings}))
    randomise(unet)
    return unet


def peft_deltas(model: nn.Module) -> dict[str, np.ndarray]:
    """Return layer → ΔW [d_out, d_in] as peft computes it; kernels flattened."""
    return {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").detach().flatten(1).numpy()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }


def deltas(adapter) -> dict[str, np.ndarray]:
    """Return layer → ΔW as lorascope reads it."""
    return {layer: factors.up @ factors.down for layer, factors in adapter.layers.items()}


def assert_same_deltas(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rtol=1e-5) -> None:
    """Compare layer by layer, relative to the largest entry of a layer."""
    assert set(found) == set(expected)
    for layer, delta in expected.items():
        np.testing.assert_allclose(
            found[layer], delta, rtol=0, atol=rtol * np.abs(delta).max(), err_msg=layer
        )


def write_lora_adapter(unet: UNet2DConditionModel, folder: Path) -> Path:
    """diffusers' ``save_lora_adapter``: lora_A/lora_B, the configuration in the header."""
    unet.save_lora_adapter(folder)
    return folder / "pytorch_lora_weights.safetensors"


def write_pipeline_lora(unet: UNet2DConditionModel, folder: Path, peft_names: bool = True) -> Path:
    """diffusers' ``save_lora_weights``: with PEFT's names, or with those of diffusers' training scripts."""
    layers = get_peft_model_state_dict(unet)
    layers = layers if peft_names else convert_state_dict_to_diffusers(layers)
    metadata = unet.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(folder, layers, unet_lora_adapter_metadata=metadata)
    return folder / "pytorch_lora_weights.safetensors"


def write_old_diffusers(unet: UNet2DConditionModel, path: Path) -> Path:
    """The names that diffusers wrote before it used PEFT: attention processors only."""
    renamed = {}
    for name, weight in get_peft_model_state_dict(unet).items():
        stem, _, side = name.removesuffix(".weight").rpartition(".lora_")
        parent, _, projection = stem.removesuffix(".0").rpartition(".")
        renamed[f"unet.{parent}.processor.{projection}_lora.{SIDES[side]}.weight"] = weight
    save_file(renamed, path)
    return path


def kohya_tensors(unet: UNet2DConditionModel, dtype=torch.float32) -> dict[str, torch.Tensor]:
    """kohya-ss's names and alphas for the LoRA that ``unet`` carries."""
    tensors = {}
    modules = dict(unet.named_modules())
    for name, weight in get_peft_model_state_dict(unet).items():
        stem, _, side = name.removesuffix(".weight").rpartition(".lora_")
        module, key = modules[stem], "lora_unet_" + stem.replace(".", "_")
        tensors[f"{key}.lora_{SIDES[side]}.weight"] = weight.to(dtype)
        alpha = module.scaling["default"] * module.r["default"]
        tensors[f"{key}.alpha"] = torch.tensor(alpha, dtype=dtype)
    return tensors


def write_kohya(unet: UNet2DConditionModel, path: Path, dtype=torch.float32, **metadata: str) -> Path:
    """A file as kohya-ss writes it."""
    save_file(kohya_tensors(unet, dtype), path, metadata=metadata or None)
    return path


def write_peft(model: nn.Module, folder: Path, **settings) -> tuple[Path, nn.Module]:
    """peft's ``save_pretrained``: a folder; also return the model with its LoRA."""
    adapted = get_peft_model(model, LoraConfig(**{"r": 4, "target_modules": TARGETS, **settings}))
    randomise(adapted)
    adapted.save_pretrained(folder)
    return folder, adapted


def edit_config(folder: Path, **changes) -> None:
    """Change entries of a PEFT folder's configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
