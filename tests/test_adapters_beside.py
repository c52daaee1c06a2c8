"""Files that train more than their LoRA, and LoRA whose ΔW needs the base: read as far as they go."""

import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from adapter_files import (
    adapted_unet,
    assert_same_deltas,
    deltas,
    kohya_tensors,
    peft_deltas,
    randomise,
    write_peft,
)
from lorascope.adapters.convert import convert
from lorascope.adapters.delta import compare_adapters
from lorascope.adapters.files import TRAINS_MORE, read_adapter
from lorascope.adapters.inspection import as_json, inspect_adapter
from lorascope.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def llama():
    return LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=32))


def peft_folder(model, folder, **settings):
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, **settings))
    randomise(adapted)
    adapted.save_pretrained(folder)
    return adapted


@pytest.fixture(scope="module")
def unet():
    return adapted_unet(lora_alpha=6)


def kinds(adapter):
    return {tensor.kind for tensor in adapter.beside}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"task_type": TaskType.SEQ_CLS}, {"head"}),
        ({"modules_to_save": ["classifier", "pooler"]}, {"head"}),
        ({"bias": "lora_only"}, {"bias"}),
        ({"bias": "all"}, {"bias", "normalisation", "head"}),
        ({"lora_bias": True}, {"bias of a LoRA"}),
    ],
)
def test_what_peft_saves_beside_a_lora(settings, kind, tmp_path):
    model = BertForSequenceClassification(BertConfig(**SIZES, vocab_size=32))
    adapted = peft_folder(model, tmp_path, target_modules=["query", "value"], **settings)
    adapter = read_adapter(tmp_path)
    assert_same_deltas(deltas(adapter), peft_deltas(adapted.base_model.model))
    assert kinds(adapter) == kind
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert {one.key for one in adapter.beside} == {
        key for key in stored if ".lora_" not in key or "bias" in key
    }
    for one in adapter.beside:
        assert one.shape == tuple(stored[one.key].shape)
        assert one.bytes == stored[one.key].nbytes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj"], "trainable_token_indices": [1, 3]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    ],
)
def test_vocabularies_and_tokens(settings, tmp_path):
    adapted = peft_folder(llama(), tmp_path, **settings)
    adapter = read_adapter(tmp_path)
    expected = {
        layer: delta for layer, delta in peft_deltas(adapted.base_model.model).items() if "q_proj" in layer
    }
    assert_same_deltas(deltas(adapter), expected)
    assert adapter.beside


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("diffusion_model.blocks.0.cross_attn.k.diff_b", "difference of a bias"),
        ("diffusion_model.blocks.0.norm3.diff", "whole difference of a weight"),
        ("lora_unet_down_blocks_0_norm.w_norm", "normalisation"),
        ("lora_unet_down_blocks_0_norm.b_norm", "normalisation"),
        ("bundle_emb.cat.string_to_param.*", "learned token"),
        ("<s1>", "learned token"),
        ("emb_params", "learned token"),
        ("base_model.model.score.weight", "head"),
        ("base_model.model.lm_head.weight", "head"),
        ("base_model.model.model.embed_tokens.weight", "embedding"),
        ("diffusion_model.img_attn.norm.query_norm.scale", "normalisation"),
        ("lora_unet_conv_in.bias", "bias"),
    ],
)
def test_everything_beside_is_listed_by_name(unet, tmp_path, refused, key, kind):
    path = tmp_path / "a.safetensors"
    save_file(kohya_tensors(unet) | {key: torch.ones(3, dtype=torch.float16)}, path)
    adapter = read_adapter(path)
    assert_same_deltas(deltas(adapter), peft_deltas(unet))
    (one,) = adapter.beside
    assert (one.key, one.kind, one.shape, one.bytes) == (key, kind, (3,), 6)
    card = as_json(inspect_adapter(adapter))
    assert card["trains_more"] == [{"name": key, "kind": kind, "shape": [3], "bytes": 6}]
    assert adapter.notes[0] == f"{TRAINS_MORE}: 1 tensor, 6 bytes: {kind}"
    with refused(f"no LoRA: '.*' is a {kind}"):
        read_adapter(path, strict=True)
    for family in ("peft", "kohya", "diffusers", "comfyui"):
        with refused("it trains more than its ΔW"):
            convert(adapter, family, tmp_path / family)
    save_file({key: torch.ones(3)}, path)
    with refused("no LoRA"):
        read_adapter(path)


def test_a_module_of_a_whole_difference_may_have_an_alpha(unet, tmp_path):
    whole = {"lora_unet_x.diff": torch.ones(2, 2), "lora_unet_x.alpha": torch.tensor(1.0)}
    save_file(kohya_tensors(unet) | whole, tmp_path / "a.safetensors")
    assert {one.key for one in read_adapter(tmp_path / "a.safetensors").beside} == set(whole)


def test_the_command_shows_it_and_strict_refuses(unet, tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    save_file(kohya_tensors(unet) | {"lora_unet_x.diff_b": torch.ones(3)}, path)
    assert main(["inspect", str(path)]) == 0
    assert f"note: {TRAINS_MORE}: 1 tensor, 12 bytes: difference of a bias" in capsys.readouterr().out
    assert main(["inspect", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["trains_more"][0]["name"] == "lora_unet_x.diff_b"
    assert main(["inspect", "--strict", str(path)]) == 2
    assert "difference of a bias" in capsys.readouterr().err


DORA = (
    ".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.default",
    ".lora_magnitude_vector.weight",
    ".lora_magnitude_vector.default.weight", ".magnitude", ".lora_magnitude", ".lokr_dora_scale",
    ".lora.dora_scale",
)  # fmt: skip


@pytest.mark.parametrize("spelling", DORA)
def test_dora_is_shown_but_not_read(spelling, unet, tmp_path, refused):
    path = tmp_path / "a.safetensors"
    tensors = kohya_tensors(unet)
    stem = "lora_unet_mid_block_attentions_0_proj_in"
    save_file(tensors | {f"{stem}{spelling}": torch.ones(16, 1)}, path)
    adapter = read_adapter(path)
    layer = "mid_block.attentions.0.proj_in"
    inspection = inspect_adapter(adapter)
    assert inspection.ranks == {4: len(adapter.layers)}
    np.testing.assert_allclose(inspection.layers[layer], np.linalg.norm(peft_deltas(unet)[layer]), rtol=1e-5)
    assert (
        "DoRA: its ΔW depends on the base model's weights; what is shown is ‖B·A‖ (1 layer)" in adapter.notes
    )
    with refused("proj_in: DoRA: its ΔW depends"):
        adapter.layers[layer]
    with refused("DoRA"):
        convert(adapter, "peft", tmp_path / "b")
    with refused("DoRA"):
        compare_adapters(adapter, adapter)


@pytest.mark.filterwarnings("ignore")
def test_pefts_dora(tmp_path):
    adapted = peft_folder(llama(), tmp_path, target_modules=["q_proj"], use_dora=True)
    adapter = read_adapter(tmp_path)
    assert [module.reason is not None for module in adapter.modules.values()] == [True, True]
    for layer, delta in peft_deltas(adapted.base_model.model).items():
        np.testing.assert_allclose(adapter.layers.norm(layer), np.linalg.norm(delta), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_is_read_as_torch_reads_it(dtype, unet, tmp_path):
    stored = {key: value.to(dtype) for key, value in kohya_tensors(unet).items() if not key.endswith("alpha")}
    every = torch.arange(256, dtype=torch.uint8).view(dtype).reshape(16, 16)
    stored["lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"] = every
    stored["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"] = torch.ones(16, 16).to(dtype)
    save_file(stored, tmp_path / "a.safetensors")
    header = read_adapter(tmp_path / "a.safetensors").header
    for key, value in stored.items():
        np.testing.assert_array_equal(header.read(key), value.float().numpy())


def test_mlx(tmp_path):
    generator = torch.Generator().manual_seed(0)
    name = "model.layers.1.self_attn.q_proj"
    a, b = torch.randn(12, 3, generator=generator), torch.randn(3, 8, generator=generator)
    save_file({f"{name}.lora_a": a, f"{name}.lora_b": b}, tmp_path / "adapters.safetensors")
    config = {"fine_tune_type": "lora", "lora_parameters": {"rank": 3, "scale": 20.0, "dropout": 0.0}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    adapter = read_adapter(tmp_path / "adapters.safetensors")
    assert adapter.family == "MLX"
    assert adapter.shapes[name] == (8, 12, 3)
    expected = 20 * (a @ b).T.numpy()
    assert_same_deltas(deltas(adapter), {name: expected})
    np.testing.assert_allclose(adapter.layers.norm(name), np.linalg.norm(expected), rtol=1e-5)
    (tmp_path / "adapter_config.json").unlink()
    notes = read_adapter(tmp_path / "adapters.safetensors").notes
    assert any("no alpha for 1 of 1 layers" in note for note in notes)


def test_xlabs(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"double_blocks.3.processor.{name}.{side}.weight": torch.randn(*shape, generator=generator)
        for name, d_out in (
            ("qkv_lora1", 9216),
            ("qkv_lora2", 9216),
            ("proj_lora1", 3072),
            ("proj_lora2", 3072),
        )
        for side, shape in (("down", (2, 3072)), ("up", (d_out, 2)))
    }
    save_file(tensors, tmp_path / "a.safetensors")
    adapter = read_adapter(tmp_path / "a.safetensors")
    assert adapter.family == "XLabs"
    assert adapter.base_model.startswith("FLUX.1")
    block = "transformer_blocks.3.attn"
    assert {f"{block}.add_{p}_proj" for p in "qkv"} <= set(adapter.layers)
    key = adapter.layers[f"{block}.to_k"]
    stem = "double_blocks.3.processor.qkv_lora1"
    np.testing.assert_array_equal(key.up, tensors[f"{stem}.up.weight"][3072:6144].numpy())


def test_mistral_finetune_is_named(tmp_path):
    names = ("layers.0.attention.wq", "layers.0.feed_forward.w1")
    tensors = {f"{name}.lora_{side}.weight": torch.ones(2, 2) for name in names for side in "AB"}
    save_file(tensors, tmp_path / "a.safetensors")
    adapter = read_adapter(tmp_path / "a.safetensors")
    assert adapter.family == "mistral-finetune"
    assert list(adapter.layers) == list(names)


def test_eva_leaves_the_base_as_it_is(tmp_path):
    folder, _ = write_peft(llama(), tmp_path, target_modules=["q_proj"])
    config = json.loads((folder / "adapter_config.json").read_text())
    for init, noted in (("eva", False), ("pissa", True)):
        (folder / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": init}))
        assert any("not the change" in note for note in read_adapter(folder).notes) == noted


TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def write_diffusers(path, metadata, prefix="unet", alpha=None):
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(4, 8, generator=generator), torch.randn(8, 4, generator=generator)
    tensors = {f"{prefix}.{TO_Q}.lora_A.weight": down, f"{prefix}.{TO_Q}.lora_B.weight": up}
    if alpha:
        tensors[f"{prefix}.{TO_Q}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path, metadata)
    return read_adapter(path), (up @ down).numpy()


@pytest.mark.parametrize("entry", ["lora_alpha", "network_alpha", "ss_network_alpha", "unet.lora_alpha"])
def test_alpha_in_a_plain_entry_of_the_header_is_read(entry, tmp_path):
    adapter, product = write_diffusers(tmp_path / "a.safetensors", {entry: "1.0"})
    assert (adapter.layers[TO_Q].alpha, adapter.layers[TO_Q].alpha_source) == (1, "header")
    assert_same_deltas(deltas(adapter), {TO_Q: product / 4})


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"lora_alpha": "None"},
        {"lora_alpha": "0"},
        {"lora_alpha": "nan"},
        {"lora_alpha": "1e30"},
        {"text_encoder.lora_alpha": "1"},
        {"my_lora_alpha": "1"},
    ],
)
def test_what_is_no_alpha_of_this_model_is_not_read(metadata, tmp_path):
    adapter, product = write_diffusers(tmp_path / "a.safetensors", metadata)
    assert adapter.layers[TO_Q].alpha_source == "default: rank"
    assert_same_deltas(deltas(adapter), {TO_Q: product})


def test_a_header_that_contradicts_the_tensors_is_told(tmp_path):
    adapter, product = write_diffusers(tmp_path / "a.safetensors", {"ss_network_alpha": "16"}, alpha=2.0)
    assert_same_deltas(deltas(adapter), {TO_Q: product / 2})
    assert "the header says alpha 16; the tensors, which count, say 2" in adapter.notes
    agreeing, _ = write_diffusers(tmp_path / "b.safetensors", {"ss_network_alpha": "2"}, alpha=2.0)
    assert not any("the header says" in note for note in agreeing.notes)


def lokr(path, seed, shapes, scale_tensor=True):
    generator = np.random.default_rng(seed)
    stem = "lora_unet_single_blocks_0_linear2"
    tensors = {
        f"{stem}.{role}": torch.from_numpy(generator.standard_normal(shape).astype(np.float16))
        for role, shape in shapes.items()
    }
    if scale_tensor:
        tensors[f"{stem}.alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    return read_adapter(path)


def dense(adapter):
    (module,) = adapter.modules.values()
    parts = {role: adapter.header.read(key).astype(np.float64) for role, key in module.keys.items()}
    second = parts.get("lokr_w2")
    second = parts["lokr_w2_a"] @ parts["lokr_w2_b"] if second is None else second
    return module.scale * np.kron(parts["lokr_w1"], second)


def test_a_lokr_of_two_whole_factors_is_inspected_and_compared_without_expansion(tmp_path, refused):
    shapes = {"lokr_w1": (48, 64), "lokr_w2": (64, 240)}
    first, second = (lokr(tmp_path / f"{seed}.safetensors", seed, shapes) for seed in (0, 1))
    (layer,) = first.layers
    assert layer == "single_transformer_blocks.0.proj_out"
    assert first.modules[layer].known.part == "attention and feed-forward"
    inspection = inspect_adapter(first)
    left, right = dense(first), dense(second)
    np.testing.assert_allclose(inspection.layers[layer], np.linalg.norm(left), rtol=1e-6)
    assert inspection.alphas == {(1.0, "none: scale 1"): 1}
    assert any("alpha of 1 of 1 layers is not used" in note for note in first.notes)
    (difference,) = compare_adapters(first, second).layers
    expected = np.sum(left * right) / np.linalg.norm(left) / np.linalg.norm(right)
    np.testing.assert_allclose(difference.cosine, expected, rtol=1e-6)
    with refused("as LoKr it would take .* MiB"):
        first.layers[layer]


@pytest.mark.parametrize(
    "other",
    [
        {"lokr_w1": (4, 6), "lokr_w2": (5, 7)},
        {"lokr_w1": (4, 6), "lokr_w2_a": (5, 2), "lokr_w2_b": (2, 7)},
        {"lokr_w1": (5, 7), "lokr_w2": (4, 6)},
        {"lora_down.weight": (3, 42), "lora_up.weight": (20, 3)},
    ],
)
def test_products_of_lokr_are_those_of_dense_matrices(other, tmp_path):
    first = lokr(tmp_path / "a.safetensors", 0, {"lokr_w1": (4, 6), "lokr_w2": (5, 7)})
    second = lokr(tmp_path / "b.safetensors", 1, other)
    left = dense(first)
    if "lokr_w1" in other:
        right = dense(second)
    else:
        (factors,) = second.layers.values()
        right = factors.up.astype(np.float64) @ factors.down
    for one, two in ((first, second), (second, first)):
        difference = compare_adapters(one, two)
        expected = np.sum(left * right) / np.linalg.norm(left) / np.linalg.norm(right)
        np.testing.assert_allclose(difference.cosine, expected, rtol=1e-5)
