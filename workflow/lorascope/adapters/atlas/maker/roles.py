"""What each layer works on, read from the models' forward passes.

A role is three letters. Stream: ``i`` image (or video), ``t`` text, ``b`` both, ``x`` audio, ``-`` none.
Part: ``a`` attention, ``f`` feed-forward, ``g`` both fused, ``m`` modulation and time, ``e`` embedding, input
or output, ``c`` convolution of a residual block. Attention: ``s`` self, ``c`` cross, ``j`` joint, ``-`` none.
A class's own rules come first, then those that all share; the first whose expression is found holds.
"""

import re

Rules = tuple[tuple[str, str], ...]

_TEXT_CROSS: Rules = ((r"attn2\.to_[kv]$", "tac"), (r"attn2\.add_[kv]_proj$", "iac"), (r"attn2\.", "iac"))
_SELF: Rules = ((r"attn1\.", "ias"),)
_UNET: Rules = (
    *_SELF,
    *_TEXT_CROSS,
    (r"\.ff\.", "if-"),
    (r"time_emb|add_embedding|time_proj", "bm-"),
    (r"encoder_hid_proj", "te-"),
    (r"resnets|samplers|^conv_", "ic-"),
    (r"", "ie-"),
)
_JOINT: Rules = (
    (r"\.attn\.to_(q|k|v|out\.0)$", "iaj"),
    (r"\.attn\.(add_[qkv]_proj|to_add_out)$", "taj"),
    (r"\.ff\.", "if-"),
    (r"\.ff_context\.", "tf-"),
    (r"norm1\.linear|img_mod", "im-"),
    (r"norm1_context\.linear|txt_mod", "tm-"),
)
_SINGLE: Rules = (
    (r"^single_transformer_blocks.*\.attn\.(to_qkv_mlp_proj|to_out)$", "bgj"),
    (r"^single_transformer_blocks.*\.proj_out$", "bg-"),
    (r"^single_transformer_blocks.*\.attn\.", "baj"),
    (r"^single_transformer_blocks.*\.(proj_mlp|ff)", "bf-"),
    (r"^single_transformer_blocks.*norm", "bm-"),
)
_TOKEN_REFINER: Rules = (
    (r"refiner_blocks.*\.attn\.", "tas"),
    (r"refiner_blocks.*\.ff\.", "tf-"),
    (r"refiner_blocks.*norm_out", "tm-"),
    (r"context_embedder", "te-"),
)
_CROSS: Rules = (*_SELF, *_TEXT_CROSS, (r"\.ffn?\.", "if-"))
_MMDIT: Rules = (*_SINGLE, *_TOKEN_REFINER, *_JOINT)
_ALL_JOINT: Rules = ((r"\.(attn\d?|attention)\.", "baj"), (r"\.(ff|feed_forward|img_mlp|mlp)\.", "bf-"))
_REFINED: Rules = tuple(
    (rf"^{block}.*\.{part}\.", f"{stream}{role}")
    for block, stream, kind in (
        ("noise_refiner", "i", "s"),
        ("context_refiner", "t", "s"),
        ("layers", "b", "j"),
    )
    for part, role in (
        ("(attention|attn)", f"a{kind}"),
        ("feed_forward", "f-"),
        ("(adaLN_modulation|norm1)", "m-"),
    )
)
_SHARED: Rules = (
    (r"audio.*time|av_cross_attn_audio", "xm-"),
    (r"audio_caption|caption|context_embedder|text_proj|txt_in|cap_embedder|crossattn_proj", "te-"),
    (r"text_embedder$|text_embedder\.", "te-"),
    (r"audio", "xe-"),
    (r"time|modulation|norm|adaln|distilled_guidance|guidance|t_embedder|ofs_", "bm-"),
    (r"", "ie-"),
)

_BY_CLASS: dict[str, Rules] = {
    "UNet2DConditionModel": _UNET,
    "UNetSpatioTemporalConditionModel": (
        (r"attn1\.", "ias"),
        (r"attn2\.", "iac"),
        *_UNET[4:-1],
        (r"\.ff_in\.", "if-"),
        _UNET[-1],
    ),
    "UNetMotionModel": ((r"motion_modules.*attn", "ias"), *_UNET),
    "SD3Transformer2DModel": ((r"\.attn2\.", "ias"), (r"time_text_embed", "bm-"), *_MMDIT),
    "FluxTransformer2DModel": ((r"time_text_embed", "bm-"), *_MMDIT),
    "ChromaTransformer2DModel": _MMDIT,
    "BriaTransformer2DModel": _MMDIT,
    "Flux2Transformer2DModel": (
        (r"double_stream_modulation_img", "im-"),
        (r"double_stream_modulation_txt", "tm-"),
        *_MMDIT,
    ),
    "QwenImageTransformer2DModel": (
        *_JOINT,
        (r"\.img_mlp\.", "if-"),
        (r"\.txt_mlp\.", "tf-"),
    ),
    "ZImageTransformer2DModel": (*_REFINED, (r"all_final_layer.*adaLN", "bm-")),
    "Lumina2Transformer2DModel": (*_REFINED, (r"norm_out\.linear_2", "ie-")),
    "HiDreamImageTransformer2DModel": (
        (r"^single_stream_blocks.*attn1\.", "baj"),
        (r"^single_stream_blocks.*ff_i\.", "bf-"),
        (r"attn1\.to_\w+_t$", "taj"),
        (r"attn1\.", "iaj"),
        (r"ff_i\.", "if-"),
        (r"ff_t\.", "tf-"),
        (r"pooled_embedder", "bm-"),
    ),
    "SanaTransformer2DModel": _CROSS,
    "PixArtTransformer2DModel": _CROSS,
    "AuraFlowTransformer2DModel": (
        (r"^single_transformer_blocks.*\.attn\.", "baj"),
        *_SINGLE,
        *_JOINT,
    ),
    "CogVideoXTransformer3DModel": _ALL_JOINT,
    "CogView4Transformer2DModel": _ALL_JOINT,
    "LTXVideoTransformer3DModel": _CROSS,
    "LTX2VideoTransformer3DModel": (
        (r"audio_to_video_attn\.to_(q|out\.0)$", "iac"),
        (r"audio_to_video_attn\.", "xac"),
        (r"video_to_audio_attn\.to_[kv]$", "iac"),
        (r"video_to_audio_attn\.", "xac"),
        (r"audio_attn1\.", "xas"),
        (r"audio_attn2\.to_[kv]$", "tac"),
        (r"audio_attn2\.", "xac"),
        (r"audio_ff\.", "xf-"),
        *_CROSS,
        (r"av_cross_attn_video", "im-"),
    ),
    "HunyuanVideoTransformer3DModel": ((r"^time_text_embed", "bm-"), *_MMDIT),
    "HunyuanVideoFramepackTransformer3DModel": ((r"^time_text_embed", "bm-"), *_MMDIT),
    "HunyuanVideo15Transformer3DModel": _MMDIT,
    "HunyuanImageTransformer2DModel": _MMDIT,
    "WanTransformer3DModel": ((r"image_embedder", "ie-"), *_CROSS),
    "WanVACETransformer3DModel": _CROSS,
    "WanAnimateTransformer3DModel": (
        (r"image_embedder", "ie-"),
        (r"face_adapter.*to_", "iac"),
        (r"motion_encoder|face_encoder", "ic-"),
        *_CROSS,
    ),
    "CosmosTransformer3DModel": _CROSS,
    "MochiTransformer3DModel": (
        (r"attn1\.(add_[qkv]_proj|to_add_out)$", "taj"),
        (r"attn1\.", "iaj"),
        *_JOINT[2:],
        (r"norm1_context", "tm-"),
    ),
    "Krea2Transformer2DModel": (
        (r"^text_fusion.*\.attn\.", "tas"),
        (r"^text_fusion.*\.ff\.", "tf-"),
        (r"^text_fusion", "te-"),
        *_ALL_JOINT,
    ),
    "Flux3Transformer2DModel": (
        (r"^mode_blocks.*\.attn\.", "ias"),
        (r"^mode_blocks.*\.ff\.", "if-"),
        (r"^mode_blocks", "im-"),
        (r"^txt_mode_blocks.*\.attn\.", "tas"),
        (r"^txt_mode_blocks.*\.ff\.", "tf-"),
        (r"^txt_mode_blocks", "tm-"),
        (r"^single_transformer_blocks.*\.attn\.", "baj"),
        *_SINGLE,
    ),
    "Ideogram4Transformer2DModel": _ALL_JOINT,
    "QwenImage21Transformer2DModel": _ALL_JOINT,
    "Kandinsky5Transformer3DModel": (
        (r"^text_transformer_blocks.*self_attention", "tas"),
        (r"^text_transformer_blocks.*feed_forward", "tf-"),
        (r"^text_transformer_blocks", "tm-"),
        (r"self_attention\.", "ias"),
        (r"cross_attention\.to_(key|value)$", "tac"),
        (r"cross_attention\.", "iac"),
        (r"feed_forward\.", "if-"),
        (r"^visual_transformer_blocks", "im-"),
        (r"text_embeddings", "te-"),
    ),
}
_LANGUAGE: Rules = (
    (r"lm_head|score|classifier|projection|embed_out|decoder$|^cls|vocab_|head\.", "-e-"),
    (r"EncDecAttention|encoder_attn|crossattention", "-ac"),
    (r"attention\.output\.dense|attn|attention|Attention|[qkv]_lin|out_lin", "-as"),
    (r"gate$|router", "-m-"),
    (r"mlp|fc\d|ff|dense|Dense|intermediate|output|experts", "-f-"),
    (r"", "-e-"),
)


def role_of(cls: str, path: str, text: bool) -> str:
    """Return the role of a layer; ``text``: the model is a text encoder, whose layers all work on text."""
    if cls in _BY_CLASS:
        return _first((*_BY_CLASS[cls], *_SHARED), path)
    role = _first(_LANGUAGE, path)
    return "t" + role[1:] if text else role


def _first(rules: Rules, path: str) -> str:
    return next(role for pattern, role in rules if re.search(pattern, path))
