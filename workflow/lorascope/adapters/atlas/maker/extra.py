"""Spellings beside a model's own code: other programs' names, and names of libraries before they changed."""

import re
from collections.abc import Iterable
from dataclasses import replace

from lorascope.adapters.atlas.maker.names import Native

# transformers' outer classes put this before the inner model's names; adapters on the inner model lack it.
OPTIONAL = {
    "CLIPTextModel": "text_model.",
    "CLIPTextModelWithProjection": "text_model.",
    "GPT2LMHeadModel": "transformer.",
    "GPTJForCausalLM": "transformer.",
    "FalconForCausalLM": "transformer.",
    "BloomForCausalLM": "transformer.",
    "GPTNeoXForCausalLM": "gpt_neox.",
    "BertForMaskedLM": "bert.",
    "RobertaForMaskedLM": "roberta.",
    "DebertaV2ForMaskedLM": "deberta.",
    "DistilBertForMaskedLM": "distilbert.",
    "ViTForImageClassification": "vit.",
    **dict.fromkeys(
        (
            "LlamaForCausalLM", "MixtralForCausalLM", "Qwen2MoeForCausalLM", "PhiForCausalLM",
            "Phi3ForCausalLM", "Starcoder2ForCausalLM",
            "OPTForCausalLM", "Qwen3ForCausalLM", "Gemma2ForCausalLM",
            "WhisperForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration",
        ),
        "model.",
    ),
}  # fmt: skip

# Modules that transformers 5 made into whole tensors or renamed; files from before have them.
_EXPERTS = "model.layers.{}.mlp.experts.{}."
EXTRA: dict[str, tuple[tuple[str, str], ...]] = {
    "native": (
        *((f"layers.{{}}.attention.w{name}", "-as") for name in "qkvo"),
        *((f"layers.{{}}.feed_forward.w{number}", "-f-") for number in (1, 2, 3)),
    ),
    "MixtralForCausalLM": tuple(
        (f"model.layers.{{}}.block_sparse_moe.{name}", role)
        for name, role in (
            ("gate", "-m-"), ("experts.{}.w1", "-f-"), ("experts.{}.w2", "-f-"), ("experts.{}.w3", "-f-"),
        )
    ),
    "Qwen2MoeForCausalLM": (
        *((f"{_EXPERTS}{name}_proj", "-f-") for name in ("gate", "up", "down")),
        ("model.layers.{}.mlp.gate", "-m-"),
    ),
    "ViTForImageClassification": tuple(
        (f"vit.encoder.layer.{{}}.{name}", role)
        for name, role in (
            ("attention.attention.query", "-as"), ("attention.attention.key", "-as"),
            ("attention.attention.value", "-as"), ("attention.output.dense", "-as"),
            ("intermediate.dense", "-f-"), ("output.dense", "-f-"),
        )
    ),
}  # fmt: skip

_COMFY_HUNYUAN = (
    (r"_attn_qkv$", "_attn.qkv"),
    (r"_attn_proj$", "_attn.proj"),
    (r"_mod\.linear$", "_mod.lin"),
    (r"modulation\.linear$", "modulation.lin"),
    (r"(_mlp|\.mlp)\.fc1$", r"\1.0"),
    (r"(_mlp|\.mlp)\.fc2$", r"\1.2"),
    (r"(_in|t_embedder)\.mlp\.0$", r"\1.in_layer"),
    (r"(_in|t_embedder)\.mlp\.2$", r"\1.out_layer"),
    (r"c_embedder\.linear_1$", "c_embedder.in_layer"),
    (r"c_embedder\.linear_2$", "c_embedder.out_layer"),
)
_XLABS = (
    (r"(double_blocks\.\{\})\.img_attn\.qkv$", r"\1.processor.qkv_lora1"),
    (r"(double_blocks\.\{\})\.txt_attn\.qkv$", r"\1.processor.qkv_lora2"),
    (r"(double_blocks\.\{\})\.img_attn\.proj$", r"\1.processor.proj_lora1"),
    (r"(double_blocks\.\{\})\.txt_attn\.proj$", r"\1.processor.proj_lora2"),
    (r"(single_blocks\.\{\})\.linear2$", r"\1.processor.proj_lora"),
)
_RENAMED = {
    "hunyuan": _COMFY_HUNYUAN,
    "hunyuan15": _COMFY_HUNYUAN,
    "hunyuanimage": _COMFY_HUNYUAN,
    "flux": _XLABS,
}
_FIRST_THREE = {
    "flux": ("single_blocks.{}.processor.qkv_lora", "single_blocks.{}.linear1_qkv"),
}


def aliases(rules: str, modules: Iterable[Native]) -> list[Native]:
    """Return the names that ComfyUI and XLabs give the modules of a model."""
    modules = list(modules)
    known = {module.pattern for module in modules}
    found = []
    for module in modules:
        for pattern, new in _RENAMED.get(rules, ()):
            if (renamed := re.sub(pattern, new, module.pattern)) not in known:
                found.append(replace(module, pattern=renamed, name=renamed.format(*module.index)))
        if module.pattern == "single_blocks.{}.linear1":
            targets = " ".join(module.targets.split()[:3])
            found += [
                replace(
                    module,
                    pattern=name,
                    name=name.format(*module.index),
                    layers=module.layers[:3],
                    targets=targets,
                )
                for name in _FIRST_THREE.get(rules, ())
            ]
    return found
