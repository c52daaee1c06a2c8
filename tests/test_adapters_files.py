"""Adapter files written by the real libraries: every route leads to the same ΔW."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel

from adapter_files import (
    ATTENTION,
    PATTERNS,
    SIDES,
    adapted_unet,
    assert_same_deltas,
    deltas,
    edit_config,
    kohya_tensors,
    peft_deltas,
    randomise,
    tiny_unet,
    write_kohya,
    write_lora_adapter,
    write_old_diffusers,
    write_peft,
    write_pipeline_lora,
)
from lorascope.adapters.files import escaping_links, find_adapter_files, read_adapter, read_header


@pytest.fixture(scope="module")
def unet():
    """A UNet with alpha ≠ rank, ranks and alphas of their own, convolutions."""
    return adapted_unet(lora_alpha=6, **PATTERNS)


def test_every_family_gives_the_same_deltas(unet, tmp_path):
    expected = peft_deltas(unet)
    folder, _ = write_peft(tiny_unet(), tmp_path / "peft", lora_alpha=6, **PATTERNS)
    for path, family, source in (
        (write_lora_adapter(unet, tmp_path / "adapter"), "diffusers", "header"),
        (write_pipeline_lora(unet, tmp_path / "pipeline"), "diffusers", "header"),
        (write_pipeline_lora(unet, tmp_path / "script", peft_names=False), "diffusers", "header"),
        (write_kohya(unet, tmp_path / "kohya.safetensors"), "kohya-ss", "tensor"),
        (folder, "PEFT", "adapter_config.json"),
        (folder / "adapter_model.safetensors", "PEFT", "adapter_config.json"),
    ):
        adapter = read_adapter(path)
        assert source in {factors.alpha_source for factors in adapter.layers.values()}, path
        assert adapter.family.startswith(family)
        assert_same_deltas(deltas(adapter), expected)


def test_factors_are_float32_and_their_shapes_known_before(unet, tmp_path):
    adapter = read_adapter(write_kohya(unet, tmp_path / "a.safetensors"))
    for layer, factors in adapter.layers.items():
        assert factors.up.dtype == factors.down.dtype == np.float32
        d_out, d_in, rank = adapter.shapes[layer]
        assert (factors.up.shape, factors.down.shape) == ((d_out, rank), (rank, d_in))
        assert factors.rank == rank == adapter.modules[layer].sizes.dim
    assert adapter.modules["mid_block.resnets.0.conv1"].sizes.kernel == (3, 3)


@pytest.mark.parametrize(("dtype", "precision"), [(torch.float16, 1e-2), (torch.bfloat16, 5e-2)])
def test_half_precision_is_read_as_stored(unet, tmp_path, dtype, precision):
    path = write_kohya(unet, tmp_path / "half.safetensors", dtype)
    stored = load_file(path)
    adapter = read_adapter(path)
    for module in adapter.modules.values():
        expected = stored[module.keys["down"]].float().flatten(1).numpy()
        np.testing.assert_array_equal(adapter.layers[module.layer].down, expected)
    assert_same_deltas(deltas(adapter), peft_deltas(unet), precision)


def test_old_diffusers_has_scale_one(tmp_path):
    unet = adapted_unet(target_modules=ATTENTION)
    adapter = read_adapter(write_old_diffusers(unet, tmp_path / "old.safetensors"))
    assert adapter.family == "diffusers (old)"
    assert {factors.alpha_source for factors in adapter.layers.values()} == {"default: rank"}
    assert_same_deltas(deltas(adapter), peft_deltas(adapted_unet(target_modules=ATTENTION, lora_alpha=4)))


def test_what_diffusers_makes_of_a_kohya_file_is_read_the_same(unet, tmp_path):
    tensors = {key: value for key, value in kohya_tensors(unet).items() if "time_emb_proj" not in key}
    path = tmp_path / "kohya.safetensors"
    save_file(tensors, path)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    save_file(
        converted | {key: torch.tensor(alpha) for key, alpha in alphas.items()}, tmp_path / "b.safetensors"
    )
    assert_same_deltas(deltas(read_adapter(tmp_path / "b.safetensors")), deltas(read_adapter(path)), 1e-7)


@pytest.mark.parametrize("alpha", [None, 0.0])
def test_kohya_alpha_missing_or_zero_means_the_rank(unet, tmp_path, alpha):
    tensors = kohya_tensors(unet)
    for key in [key for key in tensors if key.endswith(".alpha")]:
        if alpha is None:
            del tensors[key]
        else:
            tensors[key] = torch.tensor(alpha)
    save_file(tensors, tmp_path / "a.safetensors", metadata={"ss_network_alpha": "1"})
    adapter = read_adapter(tmp_path / "a.safetensors")
    layer = "mid_block.resnets.0.conv1"
    assert adapter.layers[layer].alpha == 5
    assert adapter.layers[layer].alpha_source == "default: rank"
    np.testing.assert_array_equal(
        adapter.layers[layer].up, tensors["lora_unet_mid_block_resnets_0_conv1.lora_up.weight"].flatten(1)
    )
    assert "taken as the rank; ss_network_alpha in the header says 1" in adapter.notes[0]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks transformers
@pytest.mark.parametrize("rslora", [False, True])
def test_peft_on_a_transformer(tmp_path, rslora):
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=32
    )
    folder, model = write_peft(
        LlamaModel(config),
        tmp_path,
        target_modules=["q_proj", "down_proj"],
        lora_alpha=10,
        use_rslora=rslora,
        rank_pattern={"layers.1.self_attn.q_proj": 2},
        alpha_pattern={r"^layers\.0\.self_attn.*": 3},
    )
    adapter = read_adapter(folder)
    expected = {f"model.{layer}": delta for layer, delta in peft_deltas(model).items()}
    assert_same_deltas(deltas(adapter), expected)
    assert adapter.layers["model.layers.0.self_attn.q_proj"].alpha == 3


def test_a_text_encoder_is_the_same_layer_in_every_family(tmp_path):
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = CLIPTextModel(CLIPTextConfig(**sizes, vocab_size=16))
    targets = ["q_proj", "out_proj", "fc1"]
    encoder.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets))
    randomise(encoder)
    state = get_peft_model_state_dict(encoder)
    written = convert_state_dict_to_diffusers(state)
    StableDiffusionPipeline.save_lora_weights(tmp_path, text_encoder_lora_layers=written)
    kohya = {}
    for name, weight in state.items():
        stem, _, side = name.removesuffix(".weight").rpartition(".lora_")
        kohya[f"lora_te_{stem.replace('.', '_')}.lora_{SIDES[side]}.weight"] = weight
    save_file(kohya, tmp_path / "kohya.safetensors")
    # transformers 5 left the name of the inner model out; it is in every file from before.
    expected = {f"text_encoder.text_model.{layer}": delta for layer, delta in peft_deltas(encoder).items()}
    assert_same_deltas(deltas(read_adapter(tmp_path / "pytorch_lora_weights.safetensors")), expected)
    assert_same_deltas(deltas(read_adapter(tmp_path / "kohya.safetensors")), expected)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.filterwarnings("ignore:The following .*_pattern keys did not match:RuntimeWarning")
@pytest.mark.parametrize(
    "pattern",
    [
        r".*\.(0|1)\..*q_proj",
        r"layers\.(?:[0-9]|1[0-5])\.mlp.*",
        r"^model\.layers\.1\.self_attn.*",
        r"^layers\.1\..*",
        r".*mlp\.(up|down)_proj",
        "self_attn.q_proj",
        "layers.0.mlp.up_proj",
        "attn.q_proj",
    ],
)
def test_patterns_mean_what_peft_means(pattern, tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    folder, model = write_peft(
        LlamaModel(LlamaConfig(**sizes, vocab_size=32)),
        tmp_path,
        target_modules=["q_proj", "up_proj", "down_proj"],
        lora_alpha=10,
        rank_pattern={pattern: 3},
        alpha_pattern={pattern: 7},
    )
    expected = {f"model.{layer}": delta for layer, delta in peft_deltas(model).items()}
    assert_same_deltas(deltas(read_adapter(folder)), expected)


@pytest.mark.parametrize("config", [LoHaConfig, LoKrConfig])
@pytest.mark.parametrize("effective", [False, True])
def test_pefts_loha_and_lokr(tmp_path, config, effective):
    settings = {"use_effective_conv2d": effective}
    model = get_peft_model(tiny_unet(), config(r=2, alpha=3, target_modules=["to_q", "conv1"], **settings))
    randomise(model)
    model.save_pretrained(tmp_path)
    adapter = read_adapter(tmp_path)
    assert adapter.family == {LoHaConfig: "LoHa", LoKrConfig: "LoKr"}[config]
    assert_same_deltas(deltas(adapter), peft_deltas(model))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_qalora": True}, "use_qalora is not supported: its A works on pooled inputs"),
        ({"target_parameters": ["experts"]}, "target_parameters is not supported"),
        ({"peft_type": "VERA"}, r"PEFT's VERA is not supported: its factors are shared .* \(rank 4\)"),
        (
            {"peft_type": "OFT", "base_model_name_or_path": "a/b"},
            r"PEFT's OFT is not supported: it multiplies the base model's weights \(base a/b, rank 4\)",
        ),
        ({"r": 8}, "rank 4, but adapter_config.json says 8"),
        ({"lora_alpha": "6"}, "lora_alpha is '6'; expected a number"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"r": True}, "r is 'True'; expected a number"),
        ({"alpha_pattern": [1]}, "alpha_pattern is not a JSON object"),
        ({"alpha_pattern": {"(a+)+b": 1}}, "too complex"),
        ({"alpha_pattern": {"a[": 1}}, "is no expression"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused(tmp_path, refused, changes, message):
    folder, _ = write_peft(tiny_unet(), tmp_path, target_modules=["to_q"])
    edit_config(folder, **changes)
    with refused(message):
        read_adapter(folder)


def test_initialisations_that_change_the_base_are_noted(tmp_path):
    folder, _ = write_peft(tiny_unet(), tmp_path, target_modules=["to_q"], init_lora_weights="pissa")
    assert "B·A is not the change to the original base" in read_adapter(folder).notes[0]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("lora_unet_a.dora_scale", "lora_unet_a has a magnitude but no weights"),
        ("lora_unet_a.b1.weight", r"GLoRA is not supported: .* \(1 layer\)"),
        ("lora_unet_a.oft_blocks", "OFT"),
        ("lora_unet_a.on_input", r"\(IA\)³"),
        ("unet:0:up", "cloneofsimo's LoRA"),
        ("base_model.model.vera_A", "VeRA"),
        ("lora_unet_a.lora_new_thing", "an unknown family"),
        ("lora_unet_a.lora_new.weight", "an unknown family"),
        ("something", "an unknown family"),
    ],
)
def test_other_families_are_refused_by_name(unet, tmp_path, refused, name, family):
    save_file(kohya_tensors(unet) | {name: torch.ones(2)}, tmp_path / "a.safetensors")
    with refused(rf"a\.safetensors: {family}"):
        read_adapter(tmp_path / "a.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".PTH"])
def test_pickles_are_never_opened(tmp_path, refused, suffix):
    (tmp_path / f"a{suffix}").touch(mode=0)  # opening it would fail in another way
    with refused("a pickle, which can run any program"):
        read_adapter(tmp_path / f"a{suffix}")


def test_a_peft_folder_with_a_pickle_is_refused(tmp_path, refused):
    folder, _ = write_peft(tiny_unet(), tmp_path, target_modules=["to_q"])
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with refused("adapter_model.bin: a pickle"):
        read_adapter(folder)
    assert find_adapter_files(tmp_path) == [folder]


def test_parts_that_do_not_make_up_a_layer_are_refused(unet, tmp_path, refused):
    whole = kohya_tensors(unet)
    up = "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"
    path = tmp_path / "a.safetensors"
    for change, message in (
        ({up: None}, "proj_in: it lacks up"),
        ({up: torch.ones(16, 3)}, "ranks of down and up: 4 and 3"),
        ({up: torch.ones(0, 4)}, "an empty tensor"),
        ({up: torch.ones(4)}, "expected a matrix"),
        ({"lora_unet_x.alpha": torch.tensor(1.0)}, "lora_unet_x has an alpha but no weights"),
        ({up.replace("lora_up.weight", "alpha"): torch.ones(2)}, "2 values; alpha is one number"),
        ({up.replace("lora_up.weight", "alpha"): torch.tensor(float("inf"))}, "alpha is inf"),
        ({up.replace("lora_up", "lora_B"): torch.ones(16, 4)}, "is diffusers and kohya-ss at once"),
        ({up.replace("lora_up.", "lora_up.default."): torch.ones(16, 4)}, "two tensors for up"),
        ({up: torch.ones(16, 4, dtype=torch.float8_e8m0fnu)}, "number type F8_E8M0"),
    ):
        tensors = {key: value for key, value in (whole | change).items() if value is not None}
        save_file(tensors, path)
        with refused(message):
            deltas(read_adapter(path))


def test_one_layer_under_two_names_is_refused(tmp_path, refused):
    layer = "mid_block.attentions.0.proj_in"
    names = (f"unet.{layer}.lora_A", f"unet.{layer}.lora_B", f"{layer}.lora.down", f"{layer}.lora.up")
    save_file({f"{name}.weight": torch.ones(2, 2) for name in names}, tmp_path / "a.safetensors")
    with refused(f"layer {layer} is there twice"):
        read_adapter(tmp_path / "a.safetensors")


def test_the_header_alone(unet, tmp_path):
    path = write_kohya(unet, tmp_path / "a.safetensors", ss_output_name="cat")
    header = read_header(path)
    stored = load_file(path)
    assert {name: info.shape for name, info in header.tensors.items()} == {
        name: tuple(value.shape) for name, value in stored.items()
    }
    assert header.metadata == {"ss_output_name": "cat"}
    for name, value in stored.items():
        np.testing.assert_array_equal(header.read(name), value)


def test_a_file_cut_after_its_header_was_read_is_refused(unet, tmp_path, refused):
    path = write_kohya(unet, tmp_path / "a.safetensors")
    adapter = read_adapter(path)
    path.write_bytes(path.read_bytes()[:-4000])
    with refused("the file ends early"):
        deltas(adapter)


def test_found_files_are_sorted_and_inside_the_folder(unet, tmp_path):
    root = tmp_path / "root"
    write_peft(tiny_unet(), root / "b", target_modules=["to_q"])
    outside = write_kohya(unet, tmp_path / "outside.safetensors")
    inside = write_kohya(unet, root / "c.safetensors")
    (root / "a.safetensors").symlink_to(inside)
    (root / "d.safetensors").symlink_to(outside)
    (root / "e").symlink_to(tmp_path)
    (root / "f").mkdir()
    (root / "f/adapter_config.json").symlink_to(tmp_path / "secret.json")
    (root / "f/adapter_model.safetensors").symlink_to(inside)
    (root / "old.ckpt").touch()
    (root / "readme.txt").touch()
    assert find_adapter_files(root) == [root / "a.safetensors", root / "b", inside, root / "old.ckpt"]
    assert escaping_links(root) == [root / "d.safetensors", root / "f/adapter_model.safetensors"]


@pytest.mark.parametrize("path", ["nothing.safetensors", "folder", "."])
def test_what_is_no_file(tmp_path, refused, path):
    (tmp_path / "folder").mkdir()
    with refused("no such file|a folder without adapter_config.json"):
        read_adapter(tmp_path / path)


def test_reading_needs_no_torch(unet, tmp_path):
    path = write_kohya(unet, tmp_path / "a.safetensors")
    program = (
        "import json, sys; from lorascope.cli import main; main(['inspect', sys.argv[1]]); "
        "print(json.dumps(sorted({'torch', 'diffusers', 'peft', 'pandas'} & set(sys.modules))))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "kohya-ss" in output
    assert json.loads(output.splitlines()[-1]) == []
