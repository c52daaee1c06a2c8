"""Spellings beside a model's own code: other programs' names, and names of libraries before they changed."""

import re
from collections.abc import Iterable
from dataclasses import replace

from lorascope.adapters.atlas.maker.models import NO_CLASS
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
    "AlbertForMaskedLM": "albert.",
    "ElectraForMaskedLM": "electra.",
    "EsmForMaskedLM": "esm.",
    "Dinov2ForImageClassification": "dinov2.",
    "Wav2Vec2ForCTC": "wav2vec2.",
    "MambaForCausalLM": "backbone.",
    **dict.fromkeys(("MptForCausalLM", "GPTNeoForCausalLM", "CodeGenForCausalLM"), "transformer."),
    **dict.fromkeys(
        (
            "LlamaForCausalLM", "MixtralForCausalLM", "Qwen2MoeForCausalLM", "PhiForCausalLM",
            "Phi3ForCausalLM", "Starcoder2ForCausalLM",
            "OPTForCausalLM", "Qwen3ForCausalLM", "GlmForCausalLM", "DeepseekV3ForCausalLM",
            "Qwen3NextForCausalLM", "ModernBertForMaskedLM", "LlavaForConditionalGeneration",
            "Gemma3ForConditionalGeneration", "Gemma2ForCausalLM",
            "WhisperForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration",
        ),
        "model.",
    ),
}  # fmt: skip

# (name now, name before) of parts of models that transformers has moved.
_BEFORE = {
    "Qwen2_5_VLForConditionalGeneration": (("model.language_model.", "model."),),
    "LlavaForConditionalGeneration": (
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.vision_tower.", "model.vision_tower.vision_model."),
    ),
    "Gemma3ForConditionalGeneration": (
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.vision_tower.", "model.vision_tower.vision_model."),
    ),
}


def before(cls: str, rows: Iterable[list]) -> list[list[str]]:
    """Return rows of aliases for the names that a model's layers had in earlier versions of transformers."""
    return [
        [old + row[0].removeprefix(new), row[0], "", row[-1]]
        for new, old in _BEFORE.get(cls, ())
        for row in rows
        if row[0].startswith(new)
    ]


# Modules that transformers 5 made into whole tensors or renamed; files from before have them.
_EXPERTS = "model.layers.{}.mlp.experts.{}."
EXTRA: dict[str, tuple[tuple[str, str], ...]] = {
    f"{NO_CLASS}: chatglm": tuple(
        (f"transformer.encoder.layers.{{}}.{name}", role)
        for name, role in (
            ("self_attention.query_key_value", "-as"), ("self_attention.dense", "-as"),
            ("mlp.dense_h_to_4h", "-f-"), ("mlp.dense_4h_to_h", "-f-"),
        )
    ),
    f"{NO_CLASS}: qwen1": tuple(
        (f"transformer.h.{{}}.{name}", role)
        for name, role in (
            ("attn.c_attn", "-as"), ("attn.c_proj", "-as"),
            ("mlp.w1", "-f-"), ("mlp.w2", "-f-"), ("mlp.c_proj", "-f-"),
        )
    ),
    f"{NO_CLASS}: baichuan": (
        *((f"model.layers.{{}}.self_attn.{name}", "-as") for name in ("W_pack", "o_proj")),
        *((f"model.layers.{{}}.mlp.{name}_proj", "-f-") for name in ("gate", "up", "down")),
    ),
    f"{NO_CLASS}: internlm2": (
        *((f"model.layers.{{}}.attention.{name}", "-as") for name in ("wqkv", "wo")),
        *((f"model.layers.{{}}.feed_forward.w{number}", "-f-") for number in (1, 2, 3)),
    ),
    f"{NO_CLASS}: llama": (
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
