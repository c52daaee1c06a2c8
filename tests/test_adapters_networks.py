"""Adapters of every known network: the same layers, base and roles in every spelling, and ΔW the same."""

import tracemalloc

import numpy as np
import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_kohya_flux_lora_to_diffusers,
    _convert_non_diffusers_qwen_lora_to_diffusers,
    _convert_non_diffusers_wan_lora_to_diffusers,
)
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from lorascope.adapters.atlas.identify import base_model, identify, narrowed
from lorascope.adapters.atlas.reader import architecture, architectures
from lorascope.adapters.certify import certify
from lorascope.adapters.convert import convert
from lorascope.adapters.delta import compare_adapters
from lorascope.adapters.files import read_adapter
from lorascope.adapters.inspection import inspect_adapter
from networks import fused, random_factors, sizes, stems, write

NETWORKS = [name for name in architectures() if architecture(name).kind == "diffusion"]
SPELLINGS = {
    "diffusers": (False, "transformer."),
    "OneTrainer": (False, "lora_transformer_"),
    "PEFT": (False, "base_model.model."),
    "ComfyUI": (True, "diffusion_model."),
    "kohya-ss": (True, "lora_unet_"),
}


# One of every way to spell: fused, renamed, renumbered or not at all.
IN_ALL_SPELLINGS = (
    "sdxl",
    "flux1-dev",
    "sd3.5-medium",
    "wan2.1-i2v-14b",
    "z-image",
    "qwen-image",
    "cosmos1-7b",
)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [(name, "kohya-ss") for name in NETWORKS]
    + [(name, spelling) for name in IN_ALL_SPELLINGS for spelling in SPELLINGS if spelling != "kohya-ss"],
)
def test_every_network_in_every_spelling(name, spelling):
    for keep in (lambda layer: True, lambda layer: layer.part == "attention"):
        modules = stems(name, *SPELLINGS[spelling], keep)
        found = identify({stem: size for stem, (_, size) in modules.items()})
        assert name in found.models
        assert {stem: found.named[stem].layers for stem in modules} == {
            stem: paths for stem, (paths, _) in modules.items()
        }
        known = {layer.path: layer for named in found.named.values() for layer in named.place.layers()}
        own = sizes(name)
        assert all(
            (known[path].stream, known[path].part) == (own[path].stream, own[path].part) for path in known
        )


@pytest.mark.parametrize(
    ("name", "part", "same"),
    [
        ("sdxl", "all", "sdxl"),
        ("sdxl", "attention", "sdxl sdxl-inpaint kolors"),
        ("flux1-schnell", "attention", "flux1-dev flux1-schnell flux1-fill flux1-depth-canny chroma bria3.2"),
        ("flux1-dev", "all", "flux1-dev"),
        ("flux1-schnell", "all", "flux1-dev flux1-schnell"),
        ("flux2-dev", "attention", "flux2-dev"),
        ("qwen-image", "all", "qwen-image qwen-image-layered"),
        ("wan2.1-t2v-14b", "all", "wan2.1-t2v-14b wan2.2-t2v-a14b"),
        ("sana-0.6b", "attention", "sana-0.6b pixart-alpha-1024 pixart-sigma"),
        ("hunyuanvideo", "attention", "hunyuanvideo hunyuanvideo-i2v-33ch hunyuanvideo-i2v-16ch framepack"),
        ("cogvideox-5b", "attention", "cogvideox-5b cogvideox-5b-i2v cogvideox1.5-5b cogvideox1.5-5b-i2v"),
        ("sd3-medium", "attention", "sd3-medium"),
    ],
)
def test_what_cannot_be_told_apart_is_said_together(name, part, same):
    modules = stems(name, False, "transformer.", lambda layer: part in ("all", layer.part))
    found = identify({stem: size for stem, (_, size) in modules.items()})
    assert set(found.models) == set(same.split())


@pytest.mark.parametrize(
    ("shapes", "shown"),
    [
        (
            {f"transformer_blocks.0.attn.to_{p}": (3072, 3072) for p in "qkv"},
            "FLUX.1 FLUX.2 Chroma Qwen-Image HunyuanVideo Bria",
        ),
        ({"single_transformer_blocks.7.proj_out": (3072, 15360)}, "FLUX.1 Chroma HunyuanVideo Bria"),
        ({"blocks.3.attn1.to_q": (5120, 5120)}, "Wan"),
        ({"transformer_blocks.0.attn1.to_q": (3072, 3072)}, "CogVideoX Mochi"),
        ({"up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": (1280, 768)}, "Stable Diffusion 1.x"),
    ],
)
def test_a_few_blocks_may_be_those_of_several_networks(shapes, shown):
    found = identify({f"transformer.{path}": size for path, size in shapes.items()})
    name = base_model(found.models)
    assert all(word in name for word in shown.split())
    assert {one.split()[0] for one in name.split(" or ")} <= {
        *shown.split(),
        "FramePack",
        "HunyuanImage",
        "Stable",
    }


@pytest.mark.parametrize(
    ("models", "said", "shown"),
    [
        (("qwen-image", "qwen-image-layered"), [], "Qwen-Image"),
        (("sdxl", "sdxl-inpaint", "kolors"), [], "Stable Diffusion XL or Kolors"),
        (("sdxl", "sdxl-inpaint", "kolors"), ["sdxl_base_v1-0"], "Stable Diffusion XL"),
        (("sdxl", "sdxl-inpaint", "kolors"), ["stable-diffusion-xl-v1-base/lora"], "Stable Diffusion XL"),
        (("sdxl", "sdxl-inpaint", "kolors"), ["sd_v1"], "Stable Diffusion XL or Kolors"),
        (("wan2.1-t2v-14b", "wan2.2-t2v-a14b"), ["wan2.1"], "Wan 2.1 or Wan 2.2"),
        (("wan2.1-t2v-14b", "wan2.2-t2v-a14b"), ["Wan-AI/Wan2.2-T2V-A14B"], "Wan 2.2 T2V A14B"),
        (("flux1-dev", "flux1-schnell", "chroma"), ["flux1"], "FLUX.1"),
        (("flux1-dev", "flux1-schnell", "chroma"), ["Flux.1-dev"], "FLUX.1 dev"),
        (
            ("flux1-dev", "flux1-schnell", "chroma"),
            ["None", "black-forest-labs/FLUX.1-schnell"],
            "FLUX.1 schnell",
        ),
        (("sd15", "sd15-inpaint"), ["stable-diffusion-v1/lora"], "Stable Diffusion 1.x"),
        ((), [], None),
    ],
)
def test_the_header_chooses_among_what_fits(models, said, shown):
    assert base_model(narrowed(models, said)) == shown


def test_sizes_of_no_known_network_are_unknown_with_what_speaks_against_the_nearest():
    modules = stems("flux1-dev", True, "diffusion_model.", lambda layer: layer.part == "attention")
    half = {stem: (d_out // 2, d_in // 2) for stem, (_, (d_out, d_in)) in modules.items()}
    found = identify(half)
    assert found.models == ()
    assert found.nearest == "flux1-dev"
    assert found.against == "its transformer_blocks.0.attn.to_q is 9216 × 3072, here 4608 × 1536"
    # In another width of the same network, names and parts are still known.
    named = found.named["diffusion_model.single_blocks.3.linear1"]
    assert named.place.parts_of(21504 // 2) == [1536, 1536, 1536, 6144]


def test_a_block_too_many_is_no_known_network():
    modules = stems("flux1-dev", False, "transformer.", lambda layer: layer.part == "attention")
    modules["transformer.transformer_blocks.30.attn.to_q"] = None, (3072, 3072)
    found = identify({stem: size for stem, (_, size) in modules.items()})
    assert found.models == ()
    assert "it has no transformer_blocks." in found.against


# Some blocks of some networks in full width, so that files stay small.
SOME = {
    "flux1-dev": ("transformer_blocks.3.", "single_transformer_blocks.5.", "norm_out", "x_embedder"),
    "chroma": ("transformer_blocks.3.", "single_transformer_blocks.5."),
    "flux2-klein-4b": ("transformer_blocks.3.", "single_transformer_blocks.5.", "norm_out"),
    "sd3.5-medium": ("transformer_blocks.3.", "transformer_blocks.23.", "norm_out"),
    "qwen-image": ("transformer_blocks.3.", "img_in"),
    "wan2.1-i2v-14b": ("blocks.3.", "condition_embedder"),
    "hunyuanvideo": ("transformer_blocks.3.", "single_transformer_blocks.5.", "context_embedder", "norm_out"),
    "z-image": ("layers.3.", "noise_refiner.0.", "all_final_layer"),
    "lumina2": ("layers.3.", "norm_out"),
    "mochi": ("transformer_blocks.3.", "norm_out"),
    "sana-0.6b": ("transformer_blocks.3.",),
    "auraflow": ("joint_transformer_blocks.1.", "single_transformer_blocks.3.", "norm_out"),
    "cosmos1-7b": ("transformer_blocks.3.",),
    "ltx-2b": ("transformer_blocks.3.", "proj_in", "time_embed"),
    "cogvideox-5b": ("transformer_blocks.3.",),
    "hidream-i1": ("double_stream_blocks.1.block.attn1", "single_stream_blocks.3.block.attn1"),
    "sd15": ("down_blocks.1.", "mid_block.", "up_blocks.0.", "up_blocks.1.upsamplers"),
    "sdxl": ("down_blocks.1.", "up_blocks.2.", "time_embedding", "add_embedding"),
}


def some_layers(name: str) -> dict[str, tuple[int, int]]:
    found = {
        layer.path: (layer.d_out, layer.d_in)
        for layer in architecture(name).layers()
        if layer.path.startswith(SOME[name])
    }
    assert found
    return found


def assert_same(first, second, layers=None):
    difference = compare_adapters(read_adapter(first), read_adapter(second))
    assert (difference.only_first, difference.only_second, difference.other_shape) == ((), (), ())
    np.testing.assert_allclose(difference.cosine, 1, rtol=1e-6)
    for layer in difference.layers:
        np.testing.assert_allclose([layer.cosine, layer.norm_ratio], 1, rtol=1e-5, err_msg=layer.layer)
    if layers is not None:
        assert {layer.layer for layer in difference.layers} == set(layers)


@pytest.mark.parametrize("name", SOME)
def test_a_file_of_every_family_is_the_same_adapter(name, tmp_path):
    prefix = "unet" if architecture(name).prefixes else "transformer"
    factors = random_factors(some_layers(name))
    first = write(tmp_path / "a.safetensors", factors, lambda layer: f"{prefix}.{layer}", alpha=3.0)
    for family in ("kohya", "comfyui", "peft", "diffusers"):
        errors = convert(read_adapter(first), family, tmp_path / family, certified=True)
        assert max(errors.values()) < 1e-5
        assert_same(first, tmp_path / family, factors)
        # And back: every pair of families is the same adapter.
        convert(read_adapter(tmp_path / family), "diffusers", tmp_path / f"{family}-back", certified=True)
        assert_same(first, tmp_path / f"{family}-back", factors)


def test_fused_and_split_files_come_back_bit_by_bit(tmp_path):
    name = "flux1-dev"
    modules = stems(name, True, "diffusion_model.", lambda layer: layer.path.startswith(SOME[name]))
    factors = random_factors({stem: size for stem, (_, size) in modules.items()})
    native = write(tmp_path / "native.safetensors", factors, str)
    convert(read_adapter(native), "diffusers", tmp_path / "split", certified=True)
    convert(read_adapter(tmp_path / "split"), "comfyui", tmp_path / "back", certified=True)
    before, after = load_file(native), load_file(tmp_path / "back")
    for stem, (down, up) in before_pairs(before):
        np.testing.assert_array_equal(after[f"{stem}.lora_A.weight"], down)
        np.testing.assert_array_equal(after[f"{stem}.lora_B.weight"], up)


def before_pairs(tensors):
    stems_ = [key.removesuffix(".lora_A.weight") for key in tensors if key.endswith(".lora_A.weight")]
    return [(stem, (tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"])) for stem in stems_]


CONVERTERS = {
    # diffusers' converters of LoRA files that are right for these layers.
    "flux1-dev": (_convert_kohya_flux_lora_to_diffusers, "lora_unet_"),
    "wan2.1-i2v-14b": (_convert_non_diffusers_wan_lora_to_diffusers, "diffusion_model."),
    "qwen-image": (_convert_non_diffusers_qwen_lora_to_diffusers, "diffusion_model."),
}


@pytest.mark.parametrize("name", CONVERTERS)
def test_diffusers_makes_the_same_of_a_native_file(name, tmp_path):
    converter, prefix = CONVERTERS[name]
    modules = stems(name, True, prefix, lambda layer: layer.path.startswith(SOME[name][0]))
    factors = random_factors({stem: size for stem, (_, size) in modules.items()})
    sides = (".lora_down", ".lora_up")
    native = write(tmp_path / "a.safetensors", factors, str, sides, alpha=2.0)
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in load_file(native).items()}
    converted = {key: value.contiguous().numpy() for key, value in converter(tensors).items()}
    save_file(converted, tmp_path / "b.safetensors")
    assert_same(native, tmp_path / "b.safetensors")


def test_halves_that_change_places(tmp_path):
    (down, up) = random_factors({"x": (6144, 3072)})["x"]
    shift, scale = np.split(up, 2)
    native = write(
        tmp_path / "a.safetensors",
        {"final_layer.adaLN_modulation.1": (down, up)},
        "diffusion_model.{}".format,
    )
    canonical = write(
        tmp_path / "b.safetensors",
        {"norm_out.linear": (down, np.concatenate([scale, shift]))},
        "transformer.{}".format,
    )
    factors = random_factors({"transformer_blocks.0.ff_context.net.2": (3072, 12288)})
    for path, spell in (
        (native, "double_blocks.0.txt_mlp.2"),
        (canonical, "transformer_blocks.0.ff_context.net.2"),
    ):
        prefix = "diffusion_model" if path is native else "transformer"
        tensors = load_file(path)
        tensors |= {f"{prefix}.{spell}.lora_A.weight": factors[next(iter(factors))][0]}
        tensors |= {f"{prefix}.{spell}.lora_B.weight": factors[next(iter(factors))][1]}
        save_file(tensors, path)
    assert_same(native, canonical)


def test_layers_that_do_not_share_a_are_fused_exactly(tmp_path):
    block = "transformer_blocks.0.attn.{}"
    names = [block.format(to) for to in ("to_q", "to_k", "to_v")]
    factors = random_factors(dict.fromkeys((*names, block.format("add_q_proj")), (3072, 3072)))
    split = write(tmp_path / "a.safetensors", factors, "transformer.{}".format)
    convert(read_adapter(split), "kohya", tmp_path / "b", certified=True)
    stored = load_file(tmp_path / "b")
    down, up = fused(factors[name] for name in names)
    np.testing.assert_array_equal(stored["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"], down)
    np.testing.assert_array_equal(stored["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"], up)
    # The text's key and value are not adapted: their rows are zero.
    text = read_adapter(tmp_path / "b").layers
    assert text.norm(block.format("add_q_proj")) > 0
    assert text.norm(block.format("add_k_proj")) == 0


@pytest.mark.parametrize("kind", ["LoHa", "LoKr"])
def test_a_fused_layer_of_another_family_has_the_rows_of_its_parts(kind, tmp_path):
    generator = np.random.default_rng(0)
    shapes = {
        "LoHa": {"hada_w1_a": (36, 2), "hada_w1_b": (2, 12), "hada_w2_a": (36, 2), "hada_w2_b": (2, 12)},
        "LoKr": {"lokr_w1": (4, 4), "lokr_w2": (9, 3)},
    }[kind]
    tensors = {
        f"lora_unet_double_blocks_0_img_attn_qkv.{role}": generator.standard_normal(shape).astype(np.float32)
        for role, shape in shapes.items()
    }
    save_file(tensors, tmp_path / "a.safetensors")
    parts = [value for _, value in sorted(tensors.items())]
    whole = np.kron(*parts) if kind == "LoKr" else (parts[0] @ parts[1]) * (parts[2] @ parts[3])
    adapter = read_adapter(tmp_path / "a.safetensors")
    assert list(adapter.layers) == [f"transformer_blocks.0.attn.{to}" for to in ("to_q", "to_k", "to_v")]
    for number, layer in enumerate(adapter.layers):
        rows = whole[12 * number : 12 * number + 12]
        factors = adapter.layers[layer]
        np.testing.assert_allclose(factors.up @ factors.down, rows, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(adapter.layers.norm(layer), np.linalg.norm(rows), rtol=1e-5)


def test_wan_in_two_spellings(tmp_path):
    names = [f"blocks.{n}.{a}.{p}" for n in range(3) for a in ("self_attn", "cross_attn") for p in "qkvo"]
    factors = random_factors(dict.fromkeys(names, (1536, 1536)))
    dotted = write(tmp_path / "a.safetensors", factors, "diffusion_model.{}".format)
    kohya = write(
        tmp_path / "b.safetensors",
        factors,
        lambda name: f"lora_unet_{name.replace('.', '_')}",
        (".lora_down", ".lora_up"),
        {"ss_base_model_version": "wan2.1"},
    )
    assert_same(dotted, kohya)
    adapter = read_adapter(kohya)
    assert adapter.base_model.startswith("Wan 2.1")
    assert "blocks.0.attn2.to_k" in adapter.layers
    convert(adapter, "peft", tmp_path / "peft", certified=True)
    assert "base_model.model.blocks.0.attn2.to_k.lora_A.weight" in load_file(
        tmp_path / "peft/adapter_model.safetensors"
    )


def test_t5_is_the_same_encoder_under_every_number(tmp_path):
    name = "encoder.block.3.layer.0.SelfAttention.q"
    factors = random_factors({name: (4096, 4096)})
    files = [
        write(tmp_path / f"{number}.safetensors", factors, spell)
        for number, spell in enumerate(
            (
                lambda layer: f"lora_te3_{layer.replace('.', '_')}",
                lambda layer: f"lora_te2_{layer.replace('.', '_')}",
                "text_encoder_2.{}".format,
                "text_encoder_3.{}".format,
                "text_encoders.t5xxl.transformer.{}".format,
            )
        )
    ]
    for file in files:
        assert list(read_adapter(file).layers) == [f"text_encoder_3.{name}"]
        assert_same(files[0], file)


@pytest.mark.parametrize(
    ("width", "stem", "component"),
    [
        (768, "lora_te1_", "text_encoder"),
        (768, "text_encoder_2.", "text_encoder"),
        (1280, "lora_te1_", "text_encoder_2"),
        (1280, "lora_te2_", "text_encoder_2"),
        (1024, "lora_te_", "text_encoder"),
        (8, "lora_te2_", "text_encoder_2"),
        (8, "lora_te_", "text_encoder"),
    ],
)
@pytest.mark.parametrize("inner", ["text_model.", ""])
def test_width_tells_which_clip(width, stem, component, inner, tmp_path):
    name = f"{inner}encoder.layers.1.self_attn.q_proj"
    spelled = stem + (name.replace(".", "_") if stem.endswith("_") else name)
    path = write(tmp_path / "a.safetensors", random_factors({spelled: (width, width)}), str)
    assert list(read_adapter(path).layers) == [f"{component}.text_model.encoder.layers.1.self_attn.q_proj"]


def test_an_unknown_name_keeps_its_letters_and_is_not_converted(tmp_path, refused):
    factors = random_factors({"lora_unet_foo_bar_attn_thing": (8, 8)})
    path = write(tmp_path / "a.safetensors", factors, str, (".lora_down", ".lora_up"))
    adapter = read_adapter(path)
    assert list(adapter.layers) == ["foo_bar_attn_thing"]
    assert adapter.base_model is None
    for family in ("peft", "kohya", "diffusers", "comfyui"):
        with refused("foo_bar_attn_thing is a layer of no known network"):
            convert(adapter, family, tmp_path / family, certified=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_failed_certificate_leaves_nothing_behind(tmp_path, refused, monkeypatch):
    factors = random_factors({"transformer_blocks.0.attn.to_q": (3072, 3072)})
    path = write(tmp_path / "a.safetensors", factors, "transformer.{}".format)
    monkeypatch.setattr("lorascope.adapters.certify.TOLERANCE", -1.0)
    for family in ("peft", "kohya", "diffusers", "comfyui"):
        with refused(f"{tmp_path / family}: layer .* ΔW·x is off"):
            convert(read_adapter(path), family, tmp_path / family, certified=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("attention", ["to_q", "to_k"])
def test_roles_are_shown_for_what_is_read(attention, tmp_path):
    factors = random_factors({f"transformer_blocks.0.attn.{attention}": (3072, 3072)})
    adapter = read_adapter(write(tmp_path / "a.safetensors", factors, "transformer.{}".format))
    known = adapter.modules[f"transformer_blocks.0.attn.{attention}"].known
    assert (known.stream, known.part, known.block) == ("image", "attention", "transformer_blocks.0")
    assert inspect_adapter(adapter).streams == {"image": 1}


def test_certify_reads_the_rows_of_a_fused_module(tmp_path):
    factors = random_factors({"double_blocks.0.img_attn.qkv": (9216, 3072)})
    path = write(tmp_path / "a.safetensors", factors, "diffusion_model.{}".format)
    adapter = read_adapter(path)
    assert max(certify(adapter, adapter).values()) < 1e-6


def test_memory_of_a_whole_flux_adapter(tmp_path):
    """Rank 2 on every linear layer, in bfloat16: reading may take once the size of the file."""
    tensors = {}
    for layer in architecture("flux1-dev").layers():
        stem = f"transformer.{layer.path}"
        tensors[f"{stem}.lora_A.weight"] = torch.ones(2, layer.d_in, dtype=torch.bfloat16)
        tensors[f"{stem}.lora_B.weight"] = torch.ones(layer.d_out, 2, dtype=torch.bfloat16)
    save_torch(tensors, tmp_path / "a.safetensors")
    del tensors
    read_adapter(tmp_path / "a.safetensors")  # the atlas' own tables are not the file's
    tracemalloc.start()
    try:
        inspection = inspect_adapter(read_adapter(tmp_path / "a.safetensors"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert inspection.base_model == "FLUX.1 dev"
    assert len(inspection.layers) == 504
    assert peak <= (tmp_path / "a.safetensors").stat().st_size
    layer = inspection.layers["transformer_blocks.0.attn.to_q"]
    np.testing.assert_allclose(layer, 2 * 3072)


LANGUAGE_MODELS = {
    "model.layers.{}.self_attn.q_proj model.layers.{}.mlp.up_proj": "Llama, Mistral",
    "model.layers.{}.self_attn.qkv_proj model.layers.{}.mlp.gate_up_proj": "Phi-3",
    "model.layers.{}.self_attn.dense model.layers.{}.mlp.fc1": "Phi",
    "transformer.h.{}.attn.c_attn transformer.h.{}.mlp.c_fc": "GPT-2",
    "gpt_neox.layers.{}.attention.query_key_value": "GPT-NeoX",
    "transformer.h.{}.self_attention.query_key_value": "Falcon or BLOOM",
    "model.decoder.layers.{}.self_attn.k_proj model.decoder.layers.{}.fc1": "OPT",
    "bert.encoder.layer.{}.attention.self.query bert.encoder.layer.{}.output.dense": "BERT",
    "roberta.encoder.layer.{}.attention.self.query": "RoBERTa",
    "distilbert.transformer.layer.{}.attention.q_lin": "DistilBERT",
    "encoder.block.{}.layer.0.SelfAttention.q decoder.block.{}.layer.1.EncDecAttention.v": "T5",
    "model.layers.{}.block_sparse_moe.experts.7.w1": "Mixtral",
    "model.layers.{}.mlp.experts.63.gate_proj": "Qwen MoE",
    "vit.encoder.layer.{}.attention.attention.query": "ViT",
    "model.language_model.layers.{}.self_attn.q_proj model.visual.blocks.{}.attn.qkv": "Qwen-VL",
    "transformer.encoder.layers.{}.self_attention.query_key_value": "ChatGLM",
}


@pytest.mark.parametrize("names", LANGUAGE_MODELS)
def test_families_of_language_models_by_name(names):
    paths = [name.format(block) for name in names.split() for block in (0, 200)]
    for prefix in ("", "base_model.model."):
        found = identify({f"{prefix}{path}": (16, 16) for path in paths})
        assert LANGUAGE_MODELS[names] in base_model(found.models)
        assert [named.layers for named in found.named.values()] == [(path,) for path in paths]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("h.3.attn.c_attn", "transformer.h.3.attn.c_attn"),
        ("layers.3.self_attn.q_proj", "model.layers.3.self_attn.q_proj"),
        ("encoder.layer.3.attention.self.key", "bert.encoder.layer.3.attention.self.key"),
        ("language_model.model.layers.3.self_attn.q_proj", "model.language_model.layers.3.self_attn.q_proj"),
    ],
)
def test_a_language_model_without_its_head_has_the_same_layers(before, now):
    assert identify({f"base_model.model.{before}": (16, 16)}).named[f"base_model.model.{before}"].layers == (
        now,
    )


@pytest.mark.parametrize(
    ("main", "number"),
    [("transformer_blocks.0.attn.to_q", "2"), ("transformer_blocks.0.attn2.to_q", "3")],
    ids=["FLUX.1", "Stable Diffusion 3.5"],
)
def test_t5_has_the_number_that_its_pipeline_gives_it(main, number, tmp_path):
    width = {"2": 3072, "3": 1536}[number]
    t5 = "encoder.block.3.layer.1.DenseReluDense.wo"
    shapes = {
        f"lora_unet_{main.replace('.', '_')}": (width, width),
        f"lora_te3_{t5.replace('.', '_')}": (4096, 10240),
    }
    path = write(
        tmp_path / "a.safetensors", random_factors(shapes), str, (".lora_down", ".lora_up"), alpha=2.0
    )
    assert set(read_adapter(path).layers) == {main, f"text_encoder_3.{t5}"}
    convert(read_adapter(path), "diffusers", tmp_path / "b", certified=True)
    assert f"text_encoder_{number}.{t5}.lora_A.weight" in load_file(tmp_path / "b")
    convert(read_adapter(tmp_path / "b"), "kohya", tmp_path / "c", certified=True)
    assert f"lora_te3_{t5.replace('.', '_')}.alpha" in load_file(tmp_path / "c")
