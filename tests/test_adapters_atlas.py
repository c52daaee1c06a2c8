"""The atlas: every name of every model in every spelling, and the files made anew from the libraries."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from lorascope.adapters.atlas.lookup import find, find_name
from lorascope.adapters.atlas.maker.__main__ import (
    DIGEST_MODULE,
    describe,
    digest_module,
    index_of,
    text_of,
)
from lorascope.adapters.atlas.maker.convert import WrongNameError, check
from lorascope.adapters.atlas.maker.layers import layers_of
from lorascope.adapters.atlas.maker.models import MODELS
from lorascope.adapters.atlas.maker.names import native_names
from lorascope.adapters.atlas.maker.patterns import pack
from lorascope.adapters.atlas.reader import DATA, INDEX, architecture, architectures, index, indices_of
from lorascope.adapters.atlas.spelling import key_of, spellings

# One of every way to make a table: UNet, proved by a converter with fused and swapped layers, without one,
# a text encoder, families with open sizes.
REMADE = (
    "sd15", "sdxl-refiner", "sd3.5-medium", "flux1-dev", "hunyuanimage2.1", "z-image", "wan2.1-i2v-14b",
    "mochi", "qwen-image", "clip-g", "llama", "mixtral", "gpt2",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REMADE)
def test_a_file_made_anew_is_the_same(name):
    assert text_of(describe(MODELS[name])) == (DATA / f"{name}.json").read_text()


def test_the_digest_is_that_of_the_files():
    assert digest_module() == DIGEST_MODULE.read_text()


def test_the_index_is_that_of_the_files():
    assert architectures() == sorted(MODELS)
    described = {name: json.loads((DATA / f"{name}.json").read_text()) for name in MODELS}
    assert text_of(index_of(described)) == (DATA / INDEX).read_text()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_underscores_become_dots_for_every_layer_of_every_file(name):
    model = architecture(name)
    for layer in model.layers():
        path = layer.path.replace("{}", "7")
        for spelling in (path, path.replace(".", "_")):
            place = find_name(model, spelling)
            assert place is not None, spelling
            assert (place.paths, place.inside, place.swap) == ((path,), True, False)
            assert place.layers()[0].d_out == layer.d_out
            assert place.layers()[0].d_in == layer.d_in


@pytest.mark.parametrize("name", sorted(MODELS))
def test_native_names_lead_to_their_layers(name):
    model = architecture(name)
    for native, layers, swap in model.spellings():
        for spelling in (native, native.replace(".", "_")):
            place = find_name(model, spelling)
            assert (place.paths, place.swap, place.inside) == (layers, swap, True), spelling


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_two_layers_share_a_spelling(name):
    model = architecture(name)
    paths = [layer.path for layer in model.layers()]
    assert len(set(paths)) == len(paths)
    flat = Counter(path.replace(".", "_") for path in paths)
    assert set(flat.values()) == {1}


def test_every_name_of_every_model_is_in_the_index():
    for name in MODELS:
        model = architecture(name)
        for layer in model.layers():
            assert name in index()[key_of(layer.path.replace("{}", "7"))[0]]
        for native, _, _ in model.spellings():
            assert name in index()[key_of(native)[0]]


PREFIXES = (
    "", "unet.", "transformer.", "diffusion_model.", "model.diffusion_model.", "base_model.model.",
    "base_model.model.transformer.", "base_model.model.diffusion_model.", "unet.base_model.model.", "net.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_does_not_hide_a_name(prefix):
    model = architecture("flux1-dev")
    name = "transformer_blocks.3.attn.add_q_proj"
    assert any(place and place.paths == (name,) for place in _places(model, f"{prefix}{name}"))


@pytest.mark.parametrize("prefix", ["lora_unet_", "lora_unet__", "lora_transformer_", "lycoris_"])
def test_an_underscored_prefix_does_not_hide_a_name(prefix):
    model = architecture("wan2.1-t2v-14b")
    places = _places(model, f"{prefix}blocks_3_cross_attn_k")
    assert [place.paths for place in places if place] == [("blocks.3.attn2.to_k",)]


def _places(model, stem):
    return [find(model, way) for way in spellings(stem)]


@pytest.mark.parametrize(
    "stem", ["base_model.model.transformer.h.3.attn.c_attn", "base_model.model.h.3.attn.c_attn"]
)
def test_a_path_may_begin_like_a_prefix(stem):
    assert {place.paths for place in _places(architecture("gpt2"), stem) if place} == {
        ("transformer.h.3.attn.c_attn",)
    }


# Counts of linear layers and convolutions by stream (image/text/both), read from the forward passes.
ROLES = {
    "sd15": ((96, 32, 0), (32, 0, 0)),
    "sd3.5-medium": ((148, 95, 0), (48, 46, 0)),
    "flux1-dev": ((76, 76, 114), (38, 38, 38)),
    "svd": ((256, 0, 0), (96, 0, 0)),
    "animatediff": ((256, 32, 0), (72, 0, 0)),
    "qwen-image": ((240, 240, 0), (120, 120, 0)),
    "z-image": ((8, 8, 120), (6, 6, 90)),
    "hidream-i1": ((64, 64, 128), (240, 48, 480)),
    "wan2.1-i2v-14b": ((320, 80, 0), (80, 0, 0)),
    "ltx2": ((480, 192, 0), (96, 0, 0)),
    "hunyuanvideo": ((80, 88, 120), (40, 44, 40)),
    "mochi": ((192, 191, 0), (96, 94, 0)),
    "cogvideox-5b": ((0, 0, 168), (0, 0, 84)),
    "kandinsky5-lite": ((192, 72, 0), (64, 4, 0)),
}


@pytest.mark.parametrize("name", ROLES)
def test_streams_are_those_of_the_forward_pass(name):
    layers = list(architecture(name).layers())
    for part, expected in zip(("attention", "feed-forward"), ROLES[name], strict=True):
        counts = Counter(layer.stream for layer in layers if layer.part == part)
        assert tuple(counts[stream] for stream in ("image", "text", "both")) == expected


def test_dots_are_not_underscores():
    assert find_name(architecture("cosmos1-14b"), "transformer.blocks.3.attn1.to_q") is None
    assert find_name(architecture("cosmos1-14b"), "transformer_blocks.3.attn1.to_q") is not None


def test_what_a_layer_is():
    place = find_name(architecture("sd3.5-medium"), "joint_blocks_3_x_block_attn2_qkv")
    query = place.layers()[0]
    assert (query.path, query.stream, query.attention) == ("transformer_blocks.3.attn2.to_q", "image", "self")
    assert (query.block, query.projection, query.d_out) == ("transformer_blocks.3", "to_q", 1536)
    unet = find_name(architecture("sd15"), "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0")
    layer = unet.layers()[0]
    assert (layer.block, layer.projection, layer.stream) == ("mid_block", "to_out.0", "image")
    assert (layer.part, layer.attention) == ("attention", "cross")


def test_the_second_size_of_a_name_is_that_of_its_block():
    model = architecture("sd3.5-medium")
    sizes = [find_name(model, f"transformer_blocks.{n}.norm1.linear").patterns[0].d_out for n in (12, 13)]
    assert sizes == [13824, 9216]


def test_a_block_that_is_not_there_is_outside():
    place = find_name(architecture("flux1-dev"), "double_blocks.19.img_attn.qkv")
    assert not place.inside
    assert place.paths[0] == "transformer_blocks.19.attn.to_q"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", ["order", "swap"])
def test_a_wrong_rule_does_not_pass_the_converter(fault):
    model = MODELS["flux2-klein-4b"]
    layers = layers_of(model)
    modules = native_names("flux2", [layer.path for layer in layers])
    number = next(n for n, module in enumerate(modules) if len(module.layers) == 3)
    module = modules[number]
    changed = {"order": {"layers": module.layers[::-1]}, "swap": {"swap": True}}[fault]
    modules[number] = type(module)(**{**vars(module), **changed})
    with pytest.raises(WrongNameError, match=r"img_attn\.qkv"):
        check("flux2", model.cls, layers, modules)


def test_patterns_say_which_numbers_there_are():
    names = [f"a.{i}.b.{j}.c.0" for i in range(3) for j in range(i + 1)]
    ((pattern, value, boxes),) = pack((name, "x") for name in names)
    assert (pattern, value) == ("a.{}.b.{}.c.0", "x")
    assert sorted(pattern.format(*index) for index in indices_of(boxes)) == sorted(names)


def test_the_atlas_is_read_without_the_libraries():
    program = (
        "import sys; from lorascope.adapters.atlas.reader import architecture, index; "
        "index(); architecture('flux1-dev').names; "
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
