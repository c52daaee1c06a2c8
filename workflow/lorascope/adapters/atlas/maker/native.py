"""Names that the models' own code gives its layers, as rules ``native = canonical``.

``{}`` is a block's number. Several layers on the right are one fused layer on the left, in the order of its
rows, with what their paths share before a colon; ``~`` for ``=``: the two halves of its rows change places.
``@last``: in the last block only. Rules are hypotheses: ``convert.py`` holds every one against diffusers'
converter of checkpoints.
"""

_BFL_ENDS = """
img_in = x_embedder
txt_in = context_embedder
final_layer.linear = proj_out
final_layer.adaLN_modulation.1 ~ norm_out.linear
"""
_MMDIT_QKV = """
double_blocks.{}.img_attn.qkv = transformer_blocks.{}.attn: to_q to_k to_v
double_blocks.{}.txt_attn.qkv = transformer_blocks.{}.attn: add_q_proj add_k_proj add_v_proj
double_blocks.{}.img_attn.proj = transformer_blocks.{}.attn.to_out.0
double_blocks.{}.txt_attn.proj = transformer_blocks.{}.attn.to_add_out
"""
_LINEAR1 = """
single_blocks.{}.linear1 = single_transformer_blocks.{}: attn.to_q attn.to_k attn.to_v proj_mlp
single_blocks.{}.linear2 = single_transformer_blocks.{}.proj_out
"""
_FLUX_EMBEDDERS = "".join(
    f"{native}.{old} = {canonical}.{new}\n"
    for native, canonical in (
        ("time_in", "time_text_embed.timestep_embedder"),
        ("vector_in", "time_text_embed.text_embedder"),
        ("guidance_in", "time_text_embed.guidance_embedder"),
        ("time_in", "time_guidance_embed.timestep_embedder"),
        ("guidance_in", "time_guidance_embed.guidance_embedder"),
        ("distilled_guidance_layer.layers.{}", "distilled_guidance_layer.layers.{}"),
    )
    for old, new in (("in_layer", "linear_1"), ("out_layer", "linear_2"))
)
_FLUX = (
    _BFL_ENDS
    + _MMDIT_QKV
    + _LINEAR1
    + _FLUX_EMBEDDERS
    + """
double_blocks.{}.img_mod.lin = transformer_blocks.{}.norm1.linear
double_blocks.{}.txt_mod.lin = transformer_blocks.{}.norm1_context.linear
double_blocks.{}.img_mlp.0 = transformer_blocks.{}.ff.net.0.proj
double_blocks.{}.img_mlp.2 = transformer_blocks.{}.ff.net.2
double_blocks.{}.txt_mlp.0 = transformer_blocks.{}.ff_context.net.0.proj
double_blocks.{}.txt_mlp.2 = transformer_blocks.{}.ff_context.net.2
single_blocks.{}.modulation.lin = single_transformer_blocks.{}.norm.linear
"""
)
_FLUX2 = (
    _BFL_ENDS
    + _MMDIT_QKV
    + _FLUX_EMBEDDERS
    + """
double_stream_modulation_img.lin = double_stream_modulation_img.linear
double_stream_modulation_txt.lin = double_stream_modulation_txt.linear
single_stream_modulation.lin = single_stream_modulation.linear
double_blocks.{}.img_mlp.0 = transformer_blocks.{}.ff.linear_in
double_blocks.{}.img_mlp.2 = transformer_blocks.{}.ff.linear_out
double_blocks.{}.txt_mlp.0 = transformer_blocks.{}.ff_context.linear_in
double_blocks.{}.txt_mlp.2 = transformer_blocks.{}.ff_context.linear_out
single_blocks.{}.linear1 = single_transformer_blocks.{}.attn.to_qkv_mlp_proj
single_blocks.{}.linear2 = single_transformer_blocks.{}.attn.to_out
"""
)
_SD3 = """
x_embedder.proj = pos_embed.proj
t_embedder.mlp.0 = time_text_embed.timestep_embedder.linear_1
t_embedder.mlp.2 = time_text_embed.timestep_embedder.linear_2
y_embedder.mlp.0 = time_text_embed.text_embedder.linear_1
y_embedder.mlp.2 = time_text_embed.text_embedder.linear_2
joint_blocks.{}.x_block.attn.qkv = transformer_blocks.{}.attn: to_q to_k to_v
joint_blocks.{}.x_block.attn2.qkv = transformer_blocks.{}.attn2: to_q to_k to_v
joint_blocks.{}.context_block.attn.qkv = transformer_blocks.{}.attn: add_q_proj add_k_proj add_v_proj
joint_blocks.{}.x_block.attn.proj = transformer_blocks.{}.attn.to_out.0
joint_blocks.{}.x_block.attn2.proj = transformer_blocks.{}.attn2.to_out.0
joint_blocks.{}.context_block.attn.proj = transformer_blocks.{}.attn.to_add_out
joint_blocks.{}.x_block.adaLN_modulation.1 = transformer_blocks.{}.norm1.linear
joint_blocks.{}.context_block.adaLN_modulation.1 = transformer_blocks.{}.norm1_context.linear
joint_blocks.{}.context_block.adaLN_modulation.1 ~ transformer_blocks.{}.norm1_context.linear @last
joint_blocks.{}.x_block.mlp.fc1 = transformer_blocks.{}.ff.net.0.proj
joint_blocks.{}.x_block.mlp.fc2 = transformer_blocks.{}.ff.net.2
joint_blocks.{}.context_block.mlp.fc1 = transformer_blocks.{}.ff_context.net.0.proj
joint_blocks.{}.context_block.mlp.fc2 = transformer_blocks.{}.ff_context.net.2
final_layer.linear = proj_out
final_layer.adaLN_modulation.1 ~ norm_out.linear
"""
_AURAFLOW = (
    """
t_embedder.mlp.0 = time_step_proj.linear_1
t_embedder.mlp.2 = time_step_proj.linear_2
cond_seq_linear = context_embedder
init_x_linear = pos_embed.proj
final_linear = proj_out
modF.1 ~ norm_out.linear
double_layers.{}.modX.1 = joint_transformer_blocks.{}.norm1.linear
double_layers.{}.modC.1 = joint_transformer_blocks.{}.norm1_context.linear
single_layers.{}.modCX.1 = single_transformer_blocks.{}.norm1.linear
"""
    + "".join(
        f"double_layers.{{}}.attn.w2{p} = joint_transformer_blocks.{{}}.attn.{x}\n"
        f"double_layers.{{}}.attn.w1{p} = joint_transformer_blocks.{{}}.attn.{c}\n"
        f"single_layers.{{}}.attn.w1{p} = single_transformer_blocks.{{}}.attn.{x}\n"
        for p, x, c in (
            ("q", "to_q", "add_q_proj"),
            ("k", "to_k", "add_k_proj"),
            ("v", "to_v", "add_v_proj"),
            ("o", "to_out.0", "to_add_out"),
        )
    )
    + "".join(
        f"double_layers.{{}}.mlpX.{old} = joint_transformer_blocks.{{}}.ff.{new}\n"
        f"double_layers.{{}}.mlpC.{old} = joint_transformer_blocks.{{}}.ff_context.{new}\n"
        f"single_layers.{{}}.mlp.{old} = single_transformer_blocks.{{}}.ff.{new}\n"
        for old, new in (("c_fc1", "linear_1"), ("c_fc2", "linear_2"), ("c_proj", "out_projection"))
    )
)
_MOCHI = """
x_embedder.proj = patch_embed.proj
t_embedder.mlp.0 = time_embed.timestep_embedder.linear_1
t_embedder.mlp.2 = time_embed.timestep_embedder.linear_2
t5_y_embedder.to_kv = time_embed.pooler.to_kv
t5_y_embedder.to_q = time_embed.pooler.to_q
t5_y_embedder.to_out = time_embed.pooler.to_out
t5_yproj = time_embed.caption_proj
blocks.{}.mod_x = transformer_blocks.{}.norm1.linear
blocks.{}.mod_y = transformer_blocks.{}.norm1_context.linear
blocks.{}.mod_y = transformer_blocks.{}.norm1_context.linear_1
blocks.{}.attn.qkv_x = transformer_blocks.{}.attn1: to_q to_k to_v
blocks.{}.attn.qkv_y = transformer_blocks.{}.attn1: add_q_proj add_k_proj add_v_proj
blocks.{}.attn.proj_x = transformer_blocks.{}.attn1.to_out.0
blocks.{}.attn.proj_y = transformer_blocks.{}.attn1.to_add_out
blocks.{}.mlp_x.w1 ~ transformer_blocks.{}.ff.net.0.proj
blocks.{}.mlp_x.w2 = transformer_blocks.{}.ff.net.2
blocks.{}.mlp_y.w1 ~ transformer_blocks.{}.ff_context.net.0.proj
blocks.{}.mlp_y.w2 = transformer_blocks.{}.ff_context.net.2
final_layer.mod ~ norm_out.linear
final_layer.linear = proj_out
"""
_SANA = """
x_embedder.proj = patch_embed.proj
t_embedder.mlp.0 = time_embed.emb.timestep_embedder.linear_1
t_embedder.mlp.2 = time_embed.emb.timestep_embedder.linear_2
t_embedder.mlp.0 = time_embed.timestep_embedder.linear_1
t_embedder.mlp.2 = time_embed.timestep_embedder.linear_2
cfg_embedder.mlp.0 = time_embed.guidance_embedder.linear_1
cfg_embedder.mlp.2 = time_embed.guidance_embedder.linear_2
t_block.1 = time_embed.linear
y_embedder.y_proj.fc1 = caption_projection.linear_1
y_embedder.y_proj.fc2 = caption_projection.linear_2
blocks.{}.attn.qkv = transformer_blocks.{}.attn1: to_q to_k to_v
blocks.{}.attn.proj = transformer_blocks.{}.attn1.to_out.0
blocks.{}.cross_attn.q_linear = transformer_blocks.{}.attn2.to_q
blocks.{}.cross_attn.kv_linear = transformer_blocks.{}.attn2: to_k to_v
blocks.{}.cross_attn.proj = transformer_blocks.{}.attn2.to_out.0
blocks.{}.mlp.inverted_conv.conv = transformer_blocks.{}.ff.conv_inverted
blocks.{}.mlp.depth_conv.conv = transformer_blocks.{}.ff.conv_depth
blocks.{}.mlp.point_conv.conv = transformer_blocks.{}.ff.conv_point
final_layer.linear = proj_out
"""
_PIXART = (
    _SANA
    + """
x_embedder.proj = pos_embed.proj
t_embedder.mlp.0 = adaln_single.emb.timestep_embedder.linear_1
t_embedder.mlp.2 = adaln_single.emb.timestep_embedder.linear_2
t_block.1 = adaln_single.linear
csize_embedder.mlp.0 = adaln_single.emb.resolution_embedder.linear_1
csize_embedder.mlp.2 = adaln_single.emb.resolution_embedder.linear_2
ar_embedder.mlp.0 = adaln_single.emb.aspect_ratio_embedder.linear_1
ar_embedder.mlp.2 = adaln_single.emb.aspect_ratio_embedder.linear_2
blocks.{}.mlp.fc1 = transformer_blocks.{}.ff.net.0.proj
blocks.{}.mlp.fc2 = transformer_blocks.{}.ff.net.2
"""
)
_WAN = """
time_embedding.0 = condition_embedder.time_embedder.linear_1
time_embedding.2 = condition_embedder.time_embedder.linear_2
text_embedding.0 = condition_embedder.text_embedder.linear_1
text_embedding.2 = condition_embedder.text_embedder.linear_2
time_projection.1 = condition_embedder.time_proj
img_emb.proj.1 = condition_embedder.image_embedder.ff.net.0.proj
img_emb.proj.3 = condition_embedder.image_embedder.ff.net.2
head.head = proj_out
face_adapter.fuser_blocks.{}.linear1_q = face_adapter.{}.to_q
face_adapter.fuser_blocks.{}.linear1_kv = face_adapter.{}: to_k to_v
face_adapter.fuser_blocks.{}.linear2 = face_adapter.{}.to_out
""" + "".join(
    f"{block}.{{}}.{native} = {block}.{{}}.{canonical}\n"
    for block in ("blocks", "vace_blocks")
    for native, canonical in (
        *(
            (f"{old}.{p}", f"{new}.{q}")
            for old, new in (("self_attn", "attn1"), ("cross_attn", "attn2"))
            for p, q in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"))
        ),
        ("cross_attn.k_img", "attn2.add_k_proj"),
        ("cross_attn.v_img", "attn2.add_v_proj"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
        ("before_proj", "proj_in"),
        ("after_proj", "proj_out"),
    )
)
_HUNYUAN_REFINER = """
txt_in.input_embedder = context_embedder.proj_in
txt_in.t_embedder.mlp.0 = context_embedder.time_text_embed.timestep_embedder.linear_1
txt_in.t_embedder.mlp.2 = context_embedder.time_text_embed.timestep_embedder.linear_2
txt_in.c_embedder.linear_1 = context_embedder.time_text_embed.text_embedder.linear_1
txt_in.c_embedder.linear_2 = context_embedder.time_text_embed.text_embedder.linear_2
<R>.self_attn_qkv = <C>.attn: to_q to_k to_v
<R>.self_attn_proj = <C>.attn.to_out.0
<R>.adaLN_modulation.1 = <C>.norm_out.linear
<R>.mlp.fc1 = <C>.ff.net.0.proj
<R>.mlp.fc2 = <C>.ff.net.2
""".replace("<R>", "txt_in.individual_token_refiner.blocks.{}").replace(
    "<C>", "context_embedder.token_refiner.refiner_blocks.{}"
)
_HUNYUAN_TIME = """
time_in.mlp.0 = time_text_embed.timestep_embedder.linear_1
time_in.mlp.2 = time_text_embed.timestep_embedder.linear_2
guidance_in.mlp.0 = time_text_embed.guidance_embedder.linear_1
guidance_in.mlp.2 = time_text_embed.guidance_embedder.linear_2
vector_in.in_layer = time_text_embed.text_embedder.linear_1
vector_in.out_layer = time_text_embed.text_embedder.linear_2
img_in.proj = x_embedder.proj
final_layer.linear = proj_out
final_layer.adaLN_modulation.1 ~ norm_out.linear
"""
_HUNYUAN_BLOCKS = (
    _MMDIT_QKV.replace("_attn.", "_attn_")
    + """
double_blocks.{}.img_mod.linear = transformer_blocks.{}.norm1.linear
double_blocks.{}.txt_mod.linear = transformer_blocks.{}.norm1_context.linear
double_blocks.{}.img_mlp.fc1 = transformer_blocks.{}.ff.net.0.proj
double_blocks.{}.img_mlp.fc2 = transformer_blocks.{}.ff.net.2
double_blocks.{}.txt_mlp.fc1 = transformer_blocks.{}.ff_context.net.0.proj
double_blocks.{}.txt_mlp.fc2 = transformer_blocks.{}.ff_context.net.2
single_blocks.{}.modulation.linear = single_transformer_blocks.{}.norm.linear
"""
)
_HUNYUAN = _HUNYUAN_REFINER + _HUNYUAN_TIME + _HUNYUAN_BLOCKS + _LINEAR1
# Written by hand from ComfyUI's names and diffusers' conversion scripts: the package has no converter.
_HUNYUAN_SPLIT = "".join(
    f"double_blocks.{{}}.{stream}_attn_{p} = transformer_blocks.{{}}.attn.{canonical}\n"
    for stream, named in (("img", "to_{}"), ("txt", "add_{}_proj"))
    for p in "qkv"
    for canonical in (named.format(p),)
)
_HUNYUAN15 = (
    _HUNYUAN_REFINER
    + _HUNYUAN_TIME.replace("time_text_embed.", "time_embed.")
    + _HUNYUAN_BLOCKS
    + _HUNYUAN_SPLIT
    + """
byt5_in.fc1 = context_embedder_2.linear_1
byt5_in.fc2 = context_embedder_2.linear_2
byt5_in.fc3 = context_embedder_2.linear_3
vision_in.proj.1 = image_embedder.linear_1
vision_in.proj.3 = image_embedder.linear_2
"""
)
_HUNYUANIMAGE = (
    _HUNYUAN_REFINER
    + _HUNYUAN_TIME.replace("time_text_embed.", "time_guidance_embed.")
    + "time_r_in.mlp.0 = time_guidance_embed.timestep_embedder_r.linear_1\n"
    + "time_r_in.mlp.2 = time_guidance_embed.timestep_embedder_r.linear_2\n"
    + _HUNYUAN_BLOCKS
    + _HUNYUAN_SPLIT
    + _LINEAR1
    + "".join(
        f"single_blocks.{{}}.linear1_{p} = single_transformer_blocks.{{}}.{canonical}\n"
        for p, canonical in (("q", "attn.to_q"), ("k", "attn.to_k"), ("v", "attn.to_v"), ("mlp", "proj_mlp"))
    )
    + """
byt5_in.fc1 = context_embedder_2.linear_1
byt5_in.fc2 = context_embedder_2.linear_2
byt5_in.fc3 = context_embedder_2.linear_3
"""
)
_LTX = """
patchify_proj = proj_in
adaln_single.linear = time_embed.linear
adaln_single.emb.timestep_embedder.linear_1 = time_embed.emb.timestep_embedder.linear_1
adaln_single.emb.timestep_embedder.linear_2 = time_embed.emb.timestep_embedder.linear_2
"""
_LTX2 = (
    _LTX
    + _LTX.replace("patchify_proj", "audio_patchify_proj")
    .replace("= proj_in", "= audio_proj_in")
    .replace("adaln_single", "audio_adaln_single")
    .replace("time_embed.", "audio_time_embed.")
    + "".join(
        f"{native}.{part} = {canonical}.{part}\n"
        for native, canonical in (
            ("av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
            ("av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
            ("av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
            ("av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
        )
        for part in ("linear", "emb.timestep_embedder.linear_1", "emb.timestep_embedder.linear_2")
    )
)


def _lumina_blocks(qkv: str, out: str, feed_forward: tuple[str, ...], modulation: str | None) -> str:
    lines = []
    for block in ("noise_refiner", "context_refiner", "layers"):
        attention = f"{block}.{{}}.{qkv}"
        parts = " ".join(f"{attention}.{p}" for p in ("to_q", "to_k", "to_v"))
        lines += [f"{block}.{{}}.attention.qkv = {parts}", f"{block}.{{}}.attention.out = {attention}.{out}"]
        lines += [
            f"{block}.{{}}.feed_forward.w{n}={block}.{{}}.feed_forward.{new}".replace("=", " = ")
            for n, new in enumerate(feed_forward, 1)
        ]
        if modulation:
            lines.append(f"{block}.{{}}.adaLN_modulation.1 = {block}.{{}}.{modulation}")
    return "\n".join(lines) + "\n"


_LUMINA2 = (
    _lumina_blocks("attn", "to_out.0", ("linear_1", "linear_2", "linear_3"), "norm1.linear")
    + """
cap_embedder.1 = time_caption_embed.caption_embedder.1
t_embedder.mlp.0 = time_caption_embed.timestep_embedder.linear_1
t_embedder.mlp.2 = time_caption_embed.timestep_embedder.linear_2
final_layer.adaLN_modulation.1 = norm_out.linear_1
final_layer.linear = norm_out.linear_2
"""
)
_Z_IMAGE = (
    _lumina_blocks("attention", "to_out.0", (), None)
    + """
x_embedder = all_x_embedder.2-1
final_layer.linear = all_final_layer.2-1.linear
final_layer.adaLN_modulation.1 = all_final_layer.2-1.adaLN_modulation.1
"""
)
_COSMOS_ENDS = """
x_embedder.proj.1 = patch_embed.proj
t_embedder.1.linear_1 = time_embed.t_embedder.linear_1
t_embedder.1.linear_2 = time_embed.t_embedder.linear_2
final_layer.linear = proj_out
"""
_COSMOS1_BLOCK = "blocks.block{}.blocks"
_COSMOS1 = (
    _COSMOS_ENDS
    + """
final_layer.adaLN_modulation.1 = norm_out.linear_1
final_layer.adaLN_modulation.2 = norm_out.linear_2
blocks.block{}.blocks.2.block.layer1 = transformer_blocks.{}.ff.net.0.proj
blocks.block{}.blocks.2.block.layer2 = transformer_blocks.{}.ff.net.2
"""
    + "".join(
        f"{_COSMOS1_BLOCK}.{number}.block.attn.{old} = transformer_blocks.{{}}.attn{number + 1}.{new}\n"
        for number in (0, 1)
        for old, new in (("to_q.0", "to_q"), ("to_k.0", "to_k"), ("to_v.0", "to_v"), ("to_out.0", "to_out.0"))
    )
    + "".join(
        f"{_COSMOS1_BLOCK}.{number}.adaLN_modulation.{n}"
        f" = transformer_blocks.{{}}.norm{number + 1}.linear_{n}\n"
        for number in (0, 1, 2)
        for n in (1, 2)
    )
)
_COSMOS2 = (
    _COSMOS_ENDS
    + """
final_layer.adaln_modulation.1 = norm_out.linear_1
final_layer.adaln_modulation.2 = norm_out.linear_2
blocks.{}.mlp.layer1 = transformer_blocks.{}.ff.net.0.proj
blocks.{}.mlp.layer2 = transformer_blocks.{}.ff.net.2
"""
    + "".join(
        f"blocks.{{}}.{old}_attn.{p} = transformer_blocks.{{}}.{new}.{q}\n"
        for old, new in (("self", "attn1"), ("cross", "attn2"))
        for p, q in (("q_proj", "to_q"), ("k_proj", "to_k"), ("v_proj", "to_v"), ("output_proj", "to_out.0"))
    )
    + "".join(
        f"blocks.{{}}.adaln_modulation_{old}.{n} = transformer_blocks.{{}}.{new}.linear_{n}\n"
        for old, new in (("self_attn", "norm1"), ("cross_attn", "norm2"), ("mlp", "norm3"))
        for n in (1, 2)
    )
)
_KREA2_ATTENTION = (("wq", "to_q"), ("wk", "to_k"), ("wv", "to_v"), ("wo", "to_out.0"), ("gate", "to_gate"))
_KREA2 = (
    """
first = img_in
tmlp.0 = time_embed.linear_1
tmlp.2 = time_embed.linear_2
tproj.1 = time_mod_proj
txtmlp.1 = txt_in.linear_1
txtmlp.3 = txt_in.linear_2
txtfusion.projector = text_fusion.projector
last.linear = final_layer.linear
"""
    + "".join(
        f"{old}.{{}}.attn.{p} = {new}.{{}}.attn.{q}\n"
        for old, new in (
            ("blocks", "transformer_blocks"),
            ("txtfusion.layerwise_blocks", "text_fusion.layerwise_blocks"),
            ("txtfusion.refiner_blocks", "text_fusion.refiner_blocks"),
        )
        for p, q in _KREA2_ATTENTION
    )
    + "".join(
        f"{old}.{{}}.mlp.{p} = {new}.{{}}.ff.{p}\n"
        for old, new in (
            ("blocks", "transformer_blocks"),
            ("txtfusion.layerwise_blocks", "text_fusion.layerwise_blocks"),
            ("txtfusion.refiner_blocks", "text_fusion.refiner_blocks"),
        )
        for p in ("gate", "up", "down")
    )
)

RULES = {
    "flux": _FLUX,
    "flux2": _FLUX2,
    "sd3": _SD3,
    "auraflow": _AURAFLOW,
    "mochi": _MOCHI,
    "sana": _SANA,
    "pixart": _PIXART,
    "wan": _WAN,
    "hunyuan": _HUNYUAN,
    "hunyuan15": _HUNYUAN15,
    "hunyuanimage": _HUNYUANIMAGE,
    "ltx": _LTX,
    "ltx2": _LTX2,
    "lumina2": _LUMINA2,
    "z-image": _Z_IMAGE,
    "cosmos1": _COSMOS1,
    "cosmos2": _COSMOS2,
    "krea2": _KREA2,
}
