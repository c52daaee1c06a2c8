"""Hostile adapter files: every one is read or refused in one line, in bounded time and memory."""

import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save, save_file

from lorascope.adapters.files import read_adapter, read_header
from lorascope.adapters.formats.header import MAX_HEADER_BYTES
from lorascope.adapters.inspection import as_json, inspect_adapter
from lorascope.cli import main
from lorascope.errors import LorascopeError

MUTANTS = 10_000
FLOOR = 64 << 20
"""Memory that reading may take whatever the size of the file."""

STEM = "lora_unet_mid_block_attentions_0_proj_in"
FAMILIES = {
    "kohya": {"lora_down.weight": (2, 5), "lora_up.weight": (4, 2), "alpha": ()},
    "tucker": {"lora_down.weight": (2, 5, 1, 1), "lora_mid.weight": (2, 2, 3, 3), "lora_up.weight": (4, 2)},
    "loha": {"hada_w1_a": (4, 2), "hada_w1_b": (2, 5), "hada_w2_a": (4, 2), "hada_w2_b": (2, 5), "alpha": ()},
    "lokr": {"lokr_w1": (2, 3), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 5), "alpha": ()},
}  # fmt: skip


NEW_FAMILIES = {
    "native": {"diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight": (2, 5),
               "diffusion_model.double_blocks.0.img_attn.qkv.lora_B.weight": (12, 2)},
    "swapped": {"lora_unet_final_layer_adaLN_modulation_1.lora_down.weight": (2, 5),
                "lora_unet_final_layer_adaLN_modulation_1.lora_up.weight": (4, 2)},
    "XLabs": {"double_blocks.0.processor.qkv_lora1.down.weight": (2, 5),
              "double_blocks.0.processor.qkv_lora1.up.weight": (12, 2)},
    "MLX": {"model.layers.0.self_attn.q_proj.lora_a": (5, 2),
            "model.layers.0.self_attn.q_proj.lora_b": (2, 4)},
    "DoRA": {f"{STEM}.lora_down.weight": (2, 5), f"{STEM}.lora_up.weight": (4, 2),
             f"{STEM}.dora_scale": (4, 1)},
    "beside": {f"{STEM}.lora_down.weight": (2, 5), f"{STEM}.lora_up.weight": (4, 2), "score.weight": (3, 3)},
    "fused LoKr": {f"lora_unet_blocks_0_attn_qkv.{role}": shape
                   for role, shape in {"lokr_w1": (2, 3), "lokr_w2": (6, 5), "alpha": ()}.items()},
}  # fmt: skip


def real_files() -> list[bytes]:
    """Small files of every family, with metadata."""
    generator = np.random.default_rng(0)

    def tensors(shapes):
        return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    files = [
        save(tensors({f"{STEM}.{role}": shape for role, shape in parts.items()}), {"ss_output_name": "cat"})
        for parts in FAMILIES.values()
    ]
    layer = "mid_block.attentions.0.proj_in"
    config = {"unet.r": 2, "unet.lora_alpha": 4, "unet.alpha_pattern": {"mid.*proj_in": 3}}
    files += [save(tensors(shapes), {"lora_alpha": "2"}) for shapes in NEW_FAMILIES.values()]
    for spelling, metadata in (
        (("unet.{}.lora.down.weight", "unet.{}.lora.up.weight"), None),
        (("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"), {"lora_adapter_metadata": json.dumps(config)}),
        (("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"), {"format": "pt"}),
    ):
        names = [name.format(layer) for name in spelling]
        files.append(save(tensors(dict(zip(names, ((2, 5), (4, 2)), strict=True))), metadata))
    return files


def read_or_refuse(path: Path) -> bool:
    """Inspect a file and every layer of it; return whether it was read, or refused in one line."""
    try:
        adapter = read_adapter(path)
        for layer in adapter.layers:
            if adapter.modules[layer].reason:
                continue
            assert adapter.layers[layer].up.shape == (adapter.shapes[layer][0], adapter.shapes[layer][2])
        json.dumps(as_json(inspect_adapter(adapter)), allow_nan=False)
    except LorascopeError as error:
        message = str(error)
    else:
        return True
    assert message.startswith(str(path.parent))
    assert message.isprintable()
    assert len(message) < 1000
    return False


def mutate(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip a bit of a weight, or flip, cut, insert or delete bytes at random places of the header."""
    changed = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    if generator.random() < 0.3:
        changed[int(generator.integers(header, len(content)))] ^= 1 << int(generator.integers(0, 8))
        return bytes(changed)
    for _ in range(generator.integers(1, 4)):
        place, kind = int(generator.integers(0, min(header, len(changed)) + 1)), generator.integers(0, 5)
        if kind == 0:
            del changed[place + int(generator.integers(0, len(content))) :]
        elif kind == 1:
            changed[place:place] = generator.bytes(int(generator.integers(1, 9)))
        elif kind == 2:
            del changed[place : place + int(generator.integers(1, 9))]
        elif kind == 3:
            # Digits for digits: shapes and offsets that still are JSON.
            digits = [at for at, byte in enumerate(changed[:header]) if chr(byte).isdigit() and at >= 8]
            if digits:
                changed[generator.choice(digits)] = ord(str(generator.integers(0, 10)))
        elif place < len(changed):
            changed[place] ^= 1 << int(generator.integers(0, 8))
    return bytes(changed)


def test_thousands_of_damaged_files(tmp_path):
    files, generator, read = real_files(), np.random.default_rng(0), 0
    path = tmp_path / "a.safetensors"
    for number in range(MUTANTS):
        path.write_bytes(mutate(files[number % len(files)], generator))
        read += read_or_refuse(path)
    # A flipped bit of a weight is still a file: both outcomes must have been seen.
    assert MUTANTS * 0.05 < read < MUTANTS * 0.9


def test_every_cut_of_a_file_is_refused(tmp_path):
    content = real_files()[0]
    for length in range(len(content)):
        (tmp_path / "a.safetensors").write_bytes(content[:length])
        assert not read_or_refuse(tmp_path / "a.safetensors")


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


NAMES = st.sampled_from(
    [f"{STEM}.{role}" for parts in FAMILIES.values() for role in parts]
    + ["../../etc/passwd", "/etc/passwd.lora_A.weight", "a\nb.lora_A.weight", "\x1b[2J.alpha", "", ".alpha"]
)
SHAPES = st.lists(st.one_of(st.integers(0, 4), st.sampled_from([2**31, 2**62, 2**63])), max_size=4)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "X"]),
        "shape": SHAPES,
        "data_offsets": st.lists(st.integers(0, 200), min_size=2, max_size=2),
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.dictionaries(NAMES, ENTRIES | JSON, max_size=5) | JSON, st.binary(max_size=200))
def test_any_header(tmp_path, header, data):
    read_or_refuse(write(tmp_path / "a.safetensors", header, data))


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    read_or_refuse(tmp_path / "a.safetensors")


@FUZZ
@given(
    st.dictionaries(NAMES, st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=6),
    st.dictionaries(
        st.sampled_from(["ss_tag_frequency", "lora_adapter_metadata", "a"]), st.text(max_size=30)
    ),
)
def test_any_shapes_and_metadata(tmp_path, shapes, metadata):
    tensors = {name: np.ones(shape, np.float16) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    read_or_refuse(tmp_path / "a.safetensors")


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "peft_type"]),
        JSON | st.dictionaries(st.text("ab.*+()[]\\d^$|?", max_size=8), st.integers(0, 4), max_size=3),
    )
    | JSON
)
def test_any_configuration(tmp_path, config):
    tensors = {f"base_model.model.a.b.lora_{side}.weight": np.ones((2, 2), np.float32) for side in "AB"}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    read_or_refuse(tmp_path / "adapter_model.safetensors")


@FUZZ
@given(st.binary(max_size=80), st.integers(0, 5))
def test_what_is_read_is_what_the_library_reads(tmp_path, noise, place):
    content = bytearray(real_files()[place])
    content[8 : 8 + len(noise)] = bytes(a ^ (b & 1) for a, b in zip(content[8:], noise, strict=False))
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except LorascopeError:
        return
    with safe_open(path, "np") as file:
        assert set(file.keys()) == set(header.tensors)
        for name in header.tensors:
            np.testing.assert_array_equal(file.get_tensor(name), header.read(name))


def refused_or_read_within(path: Path, floor: int = FLOOR) -> None:
    """Check memory against 2 × the file; what hangs is ended by the time that a test has."""
    tracemalloc.start()
    try:
        read_or_refuse(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * path.stat().st_size + floor


def bombs():
    many = {f"{STEM}{n}.alpha": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(30_000)}
    limit = MAX_HEADER_BYTES - 100
    return {
        "length of a header beyond the file": (b"\xff" * 8 + b"{}", None),
        "nested lists": (None, b"[" * limit),
        "empty lists": (None, b"[" + b"[]," * (limit // 3) + b"[]]"),
        "a long shape": (None, b'{"a.alpha":{"dtype":"F32","shape":[' + b"1," * (limit // 3) + b"1]}}"),
        "too long a header": (None, b" " * (MAX_HEADER_BYTES + 1)),
        "very many tensors": (None, json.dumps(many).encode()),
        "long metadata": (
            None,
            json.dumps({"__metadata__": {"ss_tag_frequency": "🐈" * (limit // 13)}}).encode(),
        ),
        "a huge number": (None, b'{"a.alpha":{"dtype":"F32","shape":[' + b"9" * 10_000 + b"]}}"),
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs(tmp_path, name):
    content, header = bombs()[name]
    path = tmp_path / "a.safetensors"
    if content is None:
        write(path, header)
    else:
        path.write_bytes(content)
    refused_or_read_within(path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("rank", [4, 1000])
def test_memory_for_large_layers(tmp_path, dtype, layers, rank):
    width = 3_000_000 // rank
    tensors = {}
    for n in range(layers):
        tensors[f"{STEM}{n}.lora_down.weight"] = np.ones((rank, width), dtype)
        tensors[f"{STEM}{n}.lora_up.weight"] = np.ones((width, rank), dtype)
    save_file(tensors, tmp_path / "a.safetensors")
    del tensors
    refused_or_read_within(tmp_path / "a.safetensors", floor=20 << 20)


@pytest.mark.parametrize(
    "shapes",
    [
        {"hada_w1_a": (500, 500), "hada_w1_b": (500, 500), "hada_w2_a": (500, 500), "hada_w2_b": (500, 500)},
        {"hada_w1_a": (9000, 60), "hada_w1_b": (60, 9000), "hada_w2_a": (9000, 60), "hada_w2_b": (60, 9000)},
        {"lokr_w1": (300, 300), "lokr_w2": (300, 300)},
        {"lora_down.weight": (2, 100_000, 1, 1), "lora_mid.weight": (2, 2, 99, 99), "lora_up.weight": (2, 2)},
        {"lora_down.weight": (300, 3), "lora_up.weight": (100_000, 300)},
    ],
)  # fmt: skip
def test_memory_for_layers_that_expand(tmp_path, shapes):
    tensors = {f"{STEM}.{role}": np.ones(shape, np.float16) for role, shape in shapes.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    refused_or_read_within(tmp_path / "a.safetensors", floor=2 * FLOOR)


@pytest.mark.parametrize(
    "patterns",
    [
        {"(a+)+$": 1},
        {"(a|a)*b": 1},
        {"(a|aa)" * 30 + "b": 1},
        {"(a|aa)" * 9 + "b": 1},
        {".*a.*b.*c": 1},
        {"a?" * 30 + "a" * 30: 1},
        {".*" * 12 + "x": 1},
        {f"(.*{number}x|y)": 1 for number in range(16)},
        {f"name.{number}": 1 for number in range(2000)},
    ],
)
def test_patterns_cannot_hang(tmp_path, patterns):
    stems = [f"base_model.model.{'a' * 200}.{number}" for number in range(500)]
    tensors = {f"{stem}.lora_{side}.weight": np.ones((1, 1), np.float32) for stem in stems for side in "AB"}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    config = {"r": 1, "lora_alpha": 1, "alpha_pattern": patterns, "rank_pattern": patterns}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    refused_or_read_within(tmp_path / "adapter_model.safetensors")


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\\..\\x", "a\nb", "\x1b[2J", "x" * 400, "\ud83d"])
def test_names_that_could_leave_a_folder_or_steer_a_terminal(tmp_path, refused, name):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    write(tmp_path / "a.safetensors", {f"{name}.alpha": entry}, b"\0" * 4)
    with refused("is no name of a tensor|not a whole safetensors file"):
        read_adapter(tmp_path / "a.safetensors")


def test_special_files_are_refused_at_once(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with refused("not a file"):
        read_adapter(tmp_path / "pipe.safetensors")
    with refused("not a file"):
        read_adapter("/dev/zero")


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    (tmp_path / "a.safetensors").write_bytes(b"\x80\x04\x95")
    for command in (["inspect"], ["diff", str(tmp_path / "a.safetensors")]):
        assert main([*command, str(tmp_path / "a.safetensors")]) == 2
        output = capsys.readouterr()
        assert (output.out, output.err.count("\n")) == ("", 1)
        assert "not a whole safetensors file" in output.err
