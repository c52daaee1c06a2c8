"""Which models the atlas holds: the class that defines each, and the arguments beside that class's defaults.

A newer library with a new class needs one entry here. Arguments follow diffusers' conversion scripts; those
of the UNets, Stable Diffusion 3 and the control variants of FLUX.1 follow the published configurations.
"""

from dataclasses import dataclass, field
from typing import Any

DIFFUSION, TEXT_ENCODER, LANGUAGE = "diffusion", "text encoder", "language model"
NO_CLASS = "in no library"
"""Of models whose names stand in ``extra.py``."""


@dataclass(frozen=True)
class Model:
    """One entry of the atlas.

    Attributes:
        name: what a card calls it.
        family: what a card calls all models that go by this name.
        cls: class of diffusers or transformers.
        arguments: beside the class's defaults; of the configuration, for transformers.
        native: rules of its other names (``native.py``).
        kind: ``diffusion``, ``text encoder`` or ``language model``.
        open_sizes: widths and depths vary: names only.
        component: canonical prefix of a text encoder.
    """

    name: str
    cls: str
    arguments: dict[str, Any] = field(default_factory=dict)
    family: str = ""
    native: str = ""
    kind: str = DIFFUSION
    open_sizes: bool = False
    component: str = ""


_SD2 = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
_SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_REFINER = {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2560,
}
_KOLORS = _SDXL | {
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": 5632,
}
_SD3 = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 192,
}
_HIDREAM = {
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "caption_channels": (4096, 4096),
    "axes_dims_rope": (64, 32, 32),
    "llama_layers": [*range(32), *[31] * 16],
}
_COGVIDEOX_5B = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
_COGVIDEOX_15 = _COGVIDEOX_5B | {
    "patch_size_t": 2,
    "patch_bias": False,
    "sample_height": 300,
    "sample_width": 300,
}
_WAN_SMALL = {"ffn_dim": 8960, "num_attention_heads": 12, "num_layers": 30}
_WAN_I2V = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
_COSMOS_2 = {"extra_pos_embed_type": None}

_UNET, _FLUX, _FLUX2 = "UNet2DConditionModel", "FluxTransformer2DModel", "Flux2Transformer2DModel"
_SD3_CLASS, _QWEN, _SANA = (
    "SD3Transformer2DModel",
    "QwenImageTransformer2DModel",
    "SanaTransformer2DModel",
)
_PIXART, _COGVIDEOX, _LTX = (
    "PixArtTransformer2DModel",
    "CogVideoXTransformer3DModel",
    "LTXVideoTransformer3DModel",
)
_HUNYUAN, _WAN, _VACE = "HunyuanVideoTransformer3DModel", "WanTransformer3DModel", "WanVACETransformer3DModel"
_COSMOS = "CosmosTransformer3DModel"
_SD_1, _SD_2, _SD_XL = "Stable Diffusion 1.x", "Stable Diffusion 2.x", "Stable Diffusion XL"
_HV, _W21, _W22 = "HunyuanVideo", "Wan 2.1", "Wan 2.2"

MODELS: dict[str, Model] = {
    "sd15": Model(_SD_1, _UNET, {"cross_attention_dim": 768}, _SD_1, "ldm"),
    "sd15-inpaint": Model(
        f"{_SD_1} inpainting", _UNET, {"cross_attention_dim": 768, "in_channels": 9}, _SD_1, "ldm"
    ),
    "sd2": Model(_SD_2, _UNET, _SD2, _SD_2, "ldm"),
    "sd2-inpaint": Model(f"{_SD_2} inpainting", _UNET, _SD2 | {"in_channels": 9}, _SD_2, "ldm"),
    "sdxl": Model(_SD_XL, _UNET, _SDXL, _SD_XL, "ldm"),
    "sdxl-inpaint": Model(f"{_SD_XL} inpainting", _UNET, _SDXL | {"in_channels": 9}, _SD_XL, "ldm"),
    "sdxl-refiner": Model(f"{_SD_XL} refiner", _UNET, _REFINER, f"{_SD_XL} refiner", "ldm"),
    "kolors": Model("Kolors", _UNET, _KOLORS, "Kolors", "ldm"),
    "svd": Model("Stable Video Diffusion", "UNetSpatioTemporalConditionModel"),
    "animatediff": Model(
        "AnimateDiff", "UNetMotionModel", {"cross_attention_dim": 768, "use_motion_mid_block": False}
    ),
    "sd3-medium": Model("Stable Diffusion 3 medium", _SD3_CLASS, _SD3, "Stable Diffusion 3", "sd3"),
    "sd3.5-medium": Model(
        "Stable Diffusion 3.5 medium",
        _SD3_CLASS,
        _SD3
        | {
            "pos_embed_max_size": 384,
            "qk_norm": "rms_norm",
            "dual_attention_layers": tuple(range(13)),
        },
        "Stable Diffusion 3.5",
        "sd3",
    ),
    "sd3.5-large": Model(
        "Stable Diffusion 3.5 large",
        _SD3_CLASS,
        {
            "num_layers": 38,
            "num_attention_heads": 38,
            "caption_projection_dim": 2432,
            "pos_embed_max_size": 192,
            "qk_norm": "rms_norm",
        },
        "Stable Diffusion 3.5",
        "sd3",
    ),
    "flux1-dev": Model("FLUX.1 dev", _FLUX, {"guidance_embeds": True}, "FLUX.1", "flux"),
    "flux1-schnell": Model("FLUX.1 schnell", _FLUX, {}, "FLUX.1", "flux"),
    "flux1-fill": Model(
        "FLUX.1 Fill",
        _FLUX,
        {"guidance_embeds": True, "in_channels": 384, "out_channels": 64},
        "FLUX.1",
        "flux",
    ),
    "flux1-depth-canny": Model(
        "FLUX.1 Depth or Canny",
        _FLUX,
        {"guidance_embeds": True, "in_channels": 128, "out_channels": 64},
        "FLUX.1",
        "flux",
    ),
    "flux2-dev": Model("FLUX.2 dev", _FLUX2, {}, "FLUX.2", "flux2"),
    "flux2-klein-4b": Model(
        "FLUX.2 klein 4B",
        _FLUX2,
        {
            "num_layers": 5,
            "num_single_layers": 20,
            "num_attention_heads": 24,
            "joint_attention_dim": 7680,
            "guidance_embeds": False,
        },
        "FLUX.2",
        "flux2",
    ),
    "flux2-klein-9b": Model(
        "FLUX.2 klein 9B",
        _FLUX2,
        {
            "num_layers": 8,
            "num_single_layers": 24,
            "num_attention_heads": 32,
            "joint_attention_dim": 12288,
            "guidance_embeds": False,
        },
        "FLUX.2",
        "flux2",
    ),
    "chroma": Model("Chroma", "ChromaTransformer2DModel", {}, "Chroma", "flux"),
    "qwen-image": Model("Qwen-Image", _QWEN, {}, "Qwen-Image"),
    "qwen-image-layered": Model(
        "Qwen-Image-Layered",
        _QWEN,
        {"use_additional_t_cond": True, "use_layer3d_rope": True},
        "Qwen-Image",
    ),
    "z-image": Model("Z-Image", "ZImageTransformer2DModel", {}, "Z-Image", "z-image"),
    "hidream-i1": Model("HiDream-I1", "HiDreamImageTransformer2DModel", _HIDREAM),
    "lumina2": Model("Lumina 2", "Lumina2Transformer2DModel", {"cap_feat_dim": 2304}, "Lumina 2", "lumina2"),
    "sana-1.6b": Model("Sana 1.6B", _SANA, {}, "Sana", "sana"),
    "sana-0.6b": Model(
        "Sana 0.6B",
        _SANA,
        {
            "num_attention_heads": 36,
            "num_layers": 28,
            "num_cross_attention_heads": 16,
            "cross_attention_head_dim": 72,
            "cross_attention_dim": 1152,
        },
        "Sana",
        "sana",
    ),
    "sana-4.8b": Model(
        "Sana 4.8B", _SANA, {"num_layers": 60, "qk_norm": "rms_norm_across_heads"}, "Sana", "sana"
    ),
    "sana-sprint-1.6b": Model(
        "Sana Sprint 1.6B",
        _SANA,
        {"qk_norm": "rms_norm_across_heads", "guidance_embeds": True},
        "Sana",
        "sana",
    ),
    "pixart-alpha-1024": Model(
        "PixArt-α",
        _PIXART,
        {"caption_channels": 4096, "use_additional_conditions": True},
        "PixArt",
        "pixart",
    ),
    "pixart-sigma": Model(
        "PixArt-Σ",
        _PIXART,
        {"caption_channels": 4096, "use_additional_conditions": False},
        "PixArt",
        "pixart",
    ),
    "auraflow": Model("AuraFlow", "AuraFlowTransformer2DModel", {}, "AuraFlow", "auraflow"),
    "cogvideox-2b": Model("CogVideoX 2B", _COGVIDEOX, {}, "CogVideoX"),
    "cogvideox-5b": Model("CogVideoX 5B", _COGVIDEOX, _COGVIDEOX_5B, "CogVideoX"),
    "cogvideox-5b-i2v": Model(
        "CogVideoX 5B I2V",
        _COGVIDEOX,
        _COGVIDEOX_5B | {"in_channels": 32, "use_learned_positional_embeddings": True},
        "CogVideoX",
    ),
    "cogvideox1.5-5b": Model("CogVideoX 1.5 5B", _COGVIDEOX, _COGVIDEOX_15, "CogVideoX"),
    "cogvideox1.5-5b-i2v": Model(
        "CogVideoX 1.5 5B I2V",
        _COGVIDEOX,
        _COGVIDEOX_15 | {"in_channels": 32, "ofs_embed_dim": 512},
        "CogVideoX",
    ),
    "ltx-2b": Model("LTX-Video 2B", _LTX, {}, "LTX-Video", "ltx"),
    "ltx-13b": Model(
        "LTX-Video 13B",
        _LTX,
        {"attention_head_dim": 128, "cross_attention_dim": 4096, "num_layers": 48},
        "LTX-Video",
        "ltx",
    ),
    "ltx2": Model("LTX-2", "LTX2VideoTransformer3DModel", {}, "LTX-2", "ltx2"),
    "hunyuanvideo": Model(_HV, _HUNYUAN, {}, _HV, "hunyuan"),
    "hunyuanvideo-i2v-33ch": Model(
        f"{_HV} I2V",
        _HUNYUAN,
        {"in_channels": 33, "guidance_embeds": False, "image_condition_type": "latent_concat"},
        _HV,
        "hunyuan",
    ),
    "hunyuanvideo-i2v-16ch": Model(
        f"{_HV} I2V (token replace)",
        _HUNYUAN,
        {"image_condition_type": "token_replace"},
        _HV,
        "hunyuan",
    ),
    "framepack": Model(
        "FramePack",
        "HunyuanVideoFramepackTransformer3DModel",
        {"has_image_proj": True, "has_clean_x_embedder": True},
        "FramePack",
        "hunyuan",
    ),
    "hunyuanvideo1.5": Model(f"{_HV} 1.5", "HunyuanVideo15Transformer3DModel", {}, f"{_HV} 1.5", "hunyuan15"),
    "hunyuanimage2.1": Model(
        "HunyuanImage 2.1",
        "HunyuanImageTransformer2DModel",
        {"text_embed_2_dim": 1472},
        "HunyuanImage 2.1",
        "hunyuanimage",
    ),
    "wan2.1-t2v-1.3b": Model(f"{_W21} T2V 1.3B", _WAN, _WAN_SMALL, _W21, "wan"),
    "wan2.1-t2v-14b": Model(f"{_W21} T2V 14B", _WAN, {}, _W21, "wan"),
    "wan2.1-i2v-14b": Model(f"{_W21} I2V 14B", _WAN, _WAN_I2V, _W21, "wan"),
    "wan2.1-flf2v-14b": Model(f"{_W21} FLF2V 14B", _WAN, _WAN_I2V | {"pos_embed_seq_len": 514}, _W21, "wan"),
    "wan2.2-t2v-a14b": Model(f"{_W22} T2V A14B", _WAN, {}, _W22, "wan"),
    "wan2.2-i2v-a14b": Model(f"{_W22} I2V A14B", _WAN, {"in_channels": 36}, _W22, "wan"),
    "wan2.2-ti2v-5b": Model(
        f"{_W22} TI2V 5B",
        _WAN,
        {
            "ffn_dim": 14336,
            "num_attention_heads": 24,
            "num_layers": 30,
            "in_channels": 48,
            "out_channels": 48,
        },
        _W22,
        "wan",
    ),
    "wan2.1-vace-1.3b": Model(
        f"{_W21} VACE 1.3B", _VACE, _WAN_SMALL | {"vace_layers": list(range(0, 30, 2))}, _W21, "wan"
    ),
    "wan2.1-vace-14b": Model(f"{_W21} VACE 14B", _VACE, {}, _W21, "wan"),
    "wan2.2-animate-14b": Model(f"{_W22} Animate 14B", "WanAnimateTransformer3DModel", _WAN_I2V, _W22, "wan"),
    "cosmos1-7b": Model("Cosmos 1.0 7B", _COSMOS, {}, "Cosmos 1.0", "cosmos1"),
    "cosmos1-14b": Model(
        "Cosmos 1.0 14B", _COSMOS, {"num_attention_heads": 40, "num_layers": 36}, "Cosmos 1.0", "cosmos1"
    ),
    "cosmos2-2b": Model(
        "Cosmos 2.0 2B", _COSMOS, _COSMOS_2 | {"num_attention_heads": 16}, "Cosmos 2.0", "cosmos2"
    ),
    "cosmos2-14b": Model(
        "Cosmos 2.0 14B",
        _COSMOS,
        _COSMOS_2 | {"num_attention_heads": 40, "num_layers": 36},
        "Cosmos 2.0",
        "cosmos2",
    ),
    "cosmos2.5-2b": Model(
        "Cosmos 2.5 2B",
        _COSMOS,
        _COSMOS_2
        | {
            "in_channels": 17,
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": 100352,
            "encoder_hidden_states_channels": 1024,
            "num_attention_heads": 16,
        },
        "Cosmos 2.5",
        "cosmos2",
    ),
    "mochi": Model("Mochi", "MochiTransformer3DModel", {}, "Mochi", "mochi"),
    "cogview4": Model(
        "CogView4",
        "CogView4Transformer2DModel",
        {"num_layers": 28, "attention_head_dim": 128, "num_attention_heads": 32},
    ),
    "bria3.2": Model("Bria 3.2", "BriaTransformer2DModel"),
    "krea2": Model("Krea 2", "Krea2Transformer2DModel", {}, "Krea 2", "krea2"),
    "flux3": Model("FLUX.3", "Flux3Transformer2DModel"),
    "ideogram4": Model("Ideogram 4", "Ideogram4Transformer2DModel"),
    "qwen-image-2.1": Model("Qwen-Image 2.1", "QwenImage21Transformer2DModel"),
    "kandinsky5-lite": Model("Kandinsky 5 Lite", "Kandinsky5Transformer3DModel"),
}

_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
_CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
}
_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
_T5 = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
_GQA = ("num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size")


def _decoder(hidden: int, layers: int, vocabulary: int, *gqa: int) -> dict[str, int]:
    named = dict(zip(_GQA, gqa, strict=True))
    return {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": vocabulary, **named}


_QWEN_VL = {
    "text_config": {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "vocab_size": 152064,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
    },
    "vision_config": {"depth": 32, "hidden_size": 1280, "out_hidden_size": 3584, "intermediate_size": 3420},
}


def _encoder(name: str, cls: str, arguments: dict, component: str) -> Model:
    return Model(name, cls, arguments, name, kind=TEXT_ENCODER, component=component)


MODELS |= {
    "clip-l": _encoder("CLIP-L", "CLIPTextModel", _CLIP_L, "text_encoder"),
    "clip-h": _encoder("OpenCLIP-H", "CLIPTextModel", _CLIP_H, "text_encoder"),
    "clip-g": _encoder("CLIP-G", "CLIPTextModelWithProjection", _CLIP_G, "text_encoder_2"),
    "t5-xxl": _encoder("T5-XXL", "T5EncoderModel", _T5, "text_encoder_3"),
    "umt5-xxl": _encoder("UMT5-XXL", "UMT5EncoderModel", _T5, "text_encoder_3"),
    "qwen2.5-vl-7b": _encoder(
        "Qwen2.5-VL 7B", "Qwen2_5_VLForConditionalGeneration", _QWEN_VL, "text_encoder"
    ),
    "qwen3-4b": _encoder(
        "Qwen3 4B",
        "Qwen3ForCausalLM",
        _decoder(2560, 36, 151936, 32, 8, 128, 9728),
        "text_encoder",
    ),
    "llama-3-8b": _encoder(
        "Llama 3 8B",
        "LlamaForCausalLM",
        _decoder(4096, 32, 128256, 32, 8, 128, 14336),
        "text_encoder",
    ),
    "gemma-2-2b": _encoder(
        "Gemma 2 2B", "Gemma2ForCausalLM", _decoder(2304, 26, 256000, 8, 4, 256, 9216), "text_encoder"
    ),
}

_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 128,
    "pad_token_id": 0,
}
_KV = {"num_key_value_heads": 2}


def _family(name: str, cls: str, arguments: dict | None = None) -> Model:
    arguments = _SMALL if arguments is None else arguments
    return Model(name, cls, arguments, name, kind=LANGUAGE, open_sizes=True)


MODELS |= {
    "llama": _family("Llama, Mistral, Qwen, Gemma or OLMo", "LlamaForCausalLM", _SMALL | _KV),
    # Meta's own names: the rows of its queries and keys have another order than Llama's.
    "llama-native": _family("Llama or Mistral (native)", f"{NO_CLASS}: llama"),
    # Models whose code comes with their weights.
    "chatglm": _family("ChatGLM", f"{NO_CLASS}: chatglm"),
    "qwen1": _family("Qwen 1", f"{NO_CLASS}: qwen1"),
    "baichuan": _family("Baichuan", f"{NO_CLASS}: baichuan"),
    "internlm2": _family("InternLM 2", f"{NO_CLASS}: internlm2"),
    "mixtral": _family("Mixtral", "MixtralForCausalLM", _SMALL | _KV),
    "qwen2-moe": _family("Qwen MoE", "Qwen2MoeForCausalLM", _SMALL | _KV),
    "phi": _family("Phi", "PhiForCausalLM"),
    "phi3": _family("Phi-3", "Phi3ForCausalLM", _SMALL | _KV),
    "starcoder2": _family("StarCoder 2", "Starcoder2ForCausalLM", _SMALL | _KV),
    "gpt2": _family("GPT-2", "GPT2LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4}),
    "gpt-neox": _family("GPT-NeoX", "GPTNeoXForCausalLM"),
    "gptj": _family("GPT-J", "GPTJForCausalLM", {"n_embd": 64, "n_layer": 3, "n_head": 4, "rotary_dim": 8}),
    "falcon": _family(
        "Falcon", "FalconForCausalLM", {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    ),
    "bloom": _family("BLOOM", "BloomForCausalLM", {"hidden_size": 64, "n_layer": 3, "n_head": 4}),
    "opt": _family(
        "OPT",
        "OPTForCausalLM",
        {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 96},
    ),
    "bert": _family("BERT", "BertForMaskedLM"),
    "roberta": _family("RoBERTa", "RobertaForMaskedLM", _SMALL | {"pad_token_id": 1}),
    "deberta-v2": _family("DeBERTa", "DebertaV2ForMaskedLM"),
    "distilbert": _family(
        "DistilBERT", "DistilBertForMaskedLM", {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 96}
    ),
    "t5": _family(
        "T5",
        "T5ForConditionalGeneration",
        {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 3, "num_heads": 4},
    ),
    "flan-t5": _family(
        "T5 (gated)",
        "T5ForConditionalGeneration",
        {
            "d_model": 64,
            "d_kv": 16,
            "d_ff": 96,
            "num_layers": 3,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
        },
    ),
    "whisper": _family(
        "Whisper",
        "WhisperForConditionalGeneration",
        {
            "d_model": 64,
            "encoder_layers": 3,
            "decoder_layers": 3,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 96,
            "decoder_ffn_dim": 96,
        },
    ),
    "vit": _family("ViT", "ViTForImageClassification"),
    "qwen-vl": _family(
        "Qwen-VL",
        "Qwen2_5_VLForConditionalGeneration",
        {
            "text_config": _SMALL | _KV,
            "vision_config": {
                "depth": 3,
                "hidden_size": 64,
                "out_hidden_size": 64,
                "intermediate_size": 96,
                "num_heads": 4,
            },
        },
    ),
    "llava": _family(
        "LLaVA",
        "LlavaForConditionalGeneration",
        {
            "text_config": {"model_type": "llama", **_SMALL, **_KV},
            "vision_config": {
                "model_type": "clip_vision_model",
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
            },
        },
    ),
    "gemma3-vision": _family("Gemma 3 (with vision)", "Gemma3ForConditionalGeneration", {}),
    "glm": _family("GLM", "GlmForCausalLM", _SMALL | _KV),
    "deepseek": _family(
        "DeepSeek",
        "DeepseekV3ForCausalLM",
        _SMALL
        | {
            "num_key_value_heads": 4,
            "first_k_dense_replace": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "n_routed_experts": 8,
            "moe_intermediate_size": 32,
        },
    ),
    "qwen3-next": _family("Qwen3-Next", "Qwen3NextForCausalLM", _SMALL | _KV | {"num_hidden_layers": 4}),
    "mpt": _family("MPT", "MptForCausalLM", {"d_model": 64, "n_heads": 4, "n_layers": 3}),
    "gpt-neo": _family(
        "GPT-Neo",
        "GPTNeoForCausalLM",
        {
            "hidden_size": 64,
            "num_layers": 3,
            "num_heads": 4,
            "attention_types": [[["global", "local", "global"], 1]],
        },
    ),
    "codegen": _family(
        "CodeGen", "CodeGenForCausalLM", {"n_embd": 64, "n_layer": 3, "n_head": 4, "rotary_dim": 8}
    ),
    "mamba": _family("Mamba", "MambaForCausalLM", {"hidden_size": 64, "num_hidden_layers": 3}),
    "albert": _family("ALBERT", "AlbertForMaskedLM", _SMALL | {"embedding_size": 32}),
    "electra": _family("ELECTRA", "ElectraForMaskedLM"),
    "modernbert": _family("ModernBERT", "ModernBertForMaskedLM"),
    "esm": _family("ESM", "EsmForMaskedLM", _SMALL | {"pad_token_id": 1}),
    "dinov2": _family(
        "DINOv2",
        "Dinov2ForImageClassification",
        {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4},
    ),
    "wav2vec2": _family("wav2vec 2.0", "Wav2Vec2ForCTC"),
}
