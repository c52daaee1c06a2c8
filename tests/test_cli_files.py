"""The commands on adapter files: cards, JSON, refusals, and what a shell completes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorascope.adapters.delta import compare_adapters, inner_product
from lorascope.adapters.files import Factors, read_adapter
from lorascope.adapters.inspection import inspect_adapter, training_metadata
from lorascope.cli import SUBJECTS, main
from lorascope.cli.completion import SHELLS

BLOCKS = ("down_blocks_0", "mid_block", "up_blocks_1")


def tensors(seed=0, rank=2, **changes):
    """A kohya-ss adapter of six layers; ``changes`` replace the up matrix of a layer by its number."""
    generator = np.random.default_rng(seed)
    made = {}
    for number, (block, name) in enumerate((block, name) for block in BLOCKS for name in ("to_q", "to_v")):
        stem = f"lora_unet_{block}_attentions_0_transformer_blocks_0_attn1_{name}"
        made[f"{stem}.lora_down.weight"] = generator.normal(size=(rank, 6)).astype(np.float32)
        up = generator.normal(size=(4, rank)).astype(np.float32)
        made[f"{stem}.lora_up.weight"] = np.asarray(changes.get(f"layer{number}", up), np.float32)
        made[f"{stem}.alpha"] = np.array(1, np.float32)
    return made


@pytest.fixture
def adapter(tmp_path):
    metadata = {
        "ss_output_name": "my cat",
        "ss_seed": "None",
        "ss_learning_rate": "0.0001",
        "ss_tag_frequency": json.dumps({"5_cat": {"cat": 12, "sofa": 3}, "1_dog": {"cat": 1}}),
    }
    save_file(tensors(), tmp_path / "cat.safetensors", metadata)
    return tmp_path / "cat.safetensors"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_inspect_prints_a_card(adapter, capsys):
    code, out, err = run(capsys, "inspect", adapter)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["family", "kohya-ss"] in lines
    assert ["base", "model", "unknown"] in lines
    assert ["rank", "2"] in lines
    assert ["alpha", "1", "(tensor)"] in lines
    assert ["layers", "6"] in lines
    assert ["ss_output_name", "my", "cat"] in lines
    assert ["ss_tag_frequency", "cat", "(13),", "sofa", "(3)"] in lines
    assert "ss_seed" not in out
    assert "anomaly" not in out
    bars = {
        line[0]: line[1]
        for line in lines
        if line and line[0] in ("down_blocks.0", "mid_block", "up_blocks.1")
    }
    longest = max(bars, key=lambda block: len(bars[block]))
    norms = inspect_adapter(read_adapter(adapter)).blocks
    assert longest == max(norms, key=norms.get)
    assert bars[longest] == "█" * 30


def test_inspect_in_json_agrees_with_numpy(adapter, capsys):
    _, out, _ = run(capsys, "inspect", "--json", adapter)
    (card,) = json.loads(out)
    stored = load_file(adapter)
    squares = {}
    for layer, value in card["layers"].items():
        stem = "lora_unet_" + layer.replace(".", "_")
        delta = stored[f"{stem}.lora_up.weight"] @ stored[f"{stem}.lora_down.weight"] / 2
        np.testing.assert_allclose(value, np.linalg.norm(delta), rtol=1e-5)
        block = layer.split(".attentions")[0]
        squares[block] = squares.get(block, 0) + value**2
    np.testing.assert_allclose(list(card["blocks"].values()), np.sqrt(list(squares.values())))
    assert card["ranks"] == {"2": 6}
    assert card["alphas"] == [{"alpha": 1.0, "source": "tensor", "layers": 6}]
    assert card["anomalies"] == []


@pytest.mark.parametrize(
    ("changes", "anomaly"),
    [
        ({"layer1": np.full((4, 2), np.nan)}, "NaN or infinite weights in 1 of 6 layers: down_blocks.0"),
        ({"layer1": np.full((4, 2), np.inf)}, "NaN or infinite weights in 1 of 6 layers: down_blocks.0"),
        ({"layer2": np.zeros((4, 2))}, "no change (ΔW = 0) in 1 of 6 layers: mid_block"),
        ({"layer4": np.full((4, 2), 1e3)}, "to_q alone holds 100% of the adapter's squared norm"),
        ({f"layer{n}": np.zeros((4, 2)) for n in range(6)}, "no change (ΔW = 0) in 6 of 6 layers"),
        ({f"layer{n}": np.full((4, 2), np.nan) for n in range(6)}, "NaN or infinite weights in 6 of 6"),
        ({"layer0": np.full((4, 2), 3e38)}, "alone holds 100%"),
    ],
)
def test_anomalies_are_named(tmp_path, capsys, changes, anomaly):
    save_file(tensors(**changes), tmp_path / "a.safetensors")
    code, out, _ = run(capsys, "inspect", tmp_path / "a.safetensors")
    assert code == 0
    assert anomaly in " ".join(out.split())
    _, out, _ = run(capsys, "inspect", "--json", tmp_path / "a.safetensors")
    assert any(anomaly in line for line in json.loads(out)[0]["anomalies"])


def test_a_strangers_text_cannot_steer_the_terminal():
    shown = training_metadata({"ss_output_name": "a\x1b[2J\r\nb\u202e", "ss_training_comment": "x" * 1000})
    assert shown == {"ss_output_name": "a[2J b", "ss_training_comment": "x" * 199 + "…"}


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '{"a": 1}', '{"a": {"b": "c"}}', "nonsense", "{}"])
def test_tags_of_other_trainers_are_left_out(text):
    assert training_metadata({"ss_tag_frequency": text}) == {}


def test_markup_in_metadata_is_text(tmp_path, capsys):
    save_file(tensors(), tmp_path / "a.safetensors", {"ss_output_name": "[bold]cat[/nothing]"})
    assert "[bold]cat[/nothing]" in run(capsys, "inspect", tmp_path / "a.safetensors")[1]


def test_one_bad_file_does_not_hide_the_others(adapter, tmp_path, capsys):
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    (tmp_path / "old.ckpt").touch()
    files = (tmp_path / "bad.safetensors", adapter, tmp_path / "old.ckpt")
    code, out, err = run(capsys, "inspect", *files)
    assert code == 2
    assert "my cat" in out
    named = [line.split(": ")[1].rsplit("/")[-1] for line in err.splitlines()[:2]]
    assert named == ["bad.safetensors", "old.ckpt"]
    assert err.splitlines()[2] == "lorascope inspect: error: 2 of 3 files were not read"
    code, out, err = run(capsys, "inspect", "--json", *files)
    assert [("error" in card) for card in json.loads(out)] == [True, False, True]
    code, out, err = run(capsys, "inspect", files[0])
    assert (code, out, err.count("\n")) == (2, "", 1)


def factors(rank, seed, d_out=5, d_in=7):
    generator = np.random.default_rng(seed)
    down, up = generator.normal(size=(rank, d_in)), generator.normal(size=(d_out, rank))
    return Factors(down.astype(np.float32), up.astype(np.float32), rank, 1.0, "tensor")


def test_products_from_factors_are_those_of_dense_matrices():
    left, right = factors(2, 0), factors(4, 1)
    dense = [(pair.up.astype(float) @ pair.down.astype(float)) for pair in (left, right)]
    np.testing.assert_allclose(inner_product(left, right), np.sum(dense[0] * dense[1]))
    np.testing.assert_allclose(inner_product(left, left), np.sum(dense[0] ** 2))


def test_diff_of_a_file_with_its_double(adapter, tmp_path, capsys):
    doubled = load_file(adapter)
    for name in doubled:
        if name.endswith("alpha"):
            doubled[name] = np.array(2, np.float32)
    save_file(doubled, tmp_path / "b.safetensors")
    code, out, _ = run(capsys, "diff", "--json", adapter, tmp_path / "b.safetensors")
    result = json.loads(out)
    assert code == 0
    for layer in (*result["layers"], result):
        np.testing.assert_allclose([layer["cosine"], layer["norm_ratio"]], [1, 2], rtol=1e-6)
    assert len(result["layers"]) == 6
    code, out, _ = run(capsys, "diff", adapter, tmp_path / "b.safetensors")
    assert out.splitlines()[-1].split() == ["all", "together", "1", "2"]


def test_diff_names_what_cannot_be_compared(adapter, tmp_path, capsys, refused):
    other = tensors(seed=1, layer2=np.zeros((4, 2)))
    stems = [name.removesuffix(".alpha") for name in other if name.endswith(".alpha")]
    for part in ("alpha", "lora_down.weight", "lora_up.weight"):
        other[f"lora_unet_conv_in.{part}"] = other.pop(f"{stems[0]}.{part}")
    other[f"{stems[5]}.lora_down.weight"] = np.ones((2, 9), np.float32)
    save_file(other, tmp_path / "b.safetensors")
    difference = compare_adapters(read_adapter(adapter), read_adapter(tmp_path / "b.safetensors"))
    assert len(difference.layers) == 4
    assert len(difference.only_first) == 1
    assert difference.only_second == ("conv_in",)
    assert [layer.rsplit(".")[-1] for layer in difference.other_shape] == ["to_v"]
    empty = next(layer for layer in difference.layers if layer.norms[1] == 0)
    assert (empty.cosine, empty.norm_ratio) == (None, None)
    out = run(capsys, "diff", adapter, tmp_path / "b.safetensors")[1]
    assert "only in the second: 1 layers: conv_in" in out
    assert "of another shape: 1 layers" in out
    save_file({name: value for name, value in other.items() if "conv_in" in name}, tmp_path / "c.safetensors")
    with refused("have no layer of the same name and shape"):
        compare_adapters(read_adapter(adapter), read_adapter(tmp_path / "c.safetensors"))


def test_convert_and_certify(adapter, tmp_path, capsys):
    out = tmp_path / "out"
    code, text, _ = run(capsys, "convert", adapter, "--to", "peft", "--out", out, "--certify")
    assert code == 0
    assert f"{out}: 6 layers written as peft\ncertified: ΔW·x differs by at most " in text
    _, text, _ = run(
        capsys, "convert", "--json", out, "--to", "kohya", "--out", tmp_path / "back", "--certify"
    )
    result = json.loads(text)
    assert result["largest_error"] == max(result["errors"].values()) < 1e-6
    back, before = load_file(tmp_path / "back"), load_file(adapter)
    assert {name: value.tolist() for name, value in back.items()} == {
        name: value.tolist() for name, value in before.items()
    }
    code, text, err = run(capsys, "convert", adapter, "--to", "peft", "--out", out)
    assert (code, text, err.count("\n")) == (2, "", 1)


def test_convert_needs_neither_diffusers_nor_peft(adapter, tmp_path):
    program = (
        "import sys; from lorascope.cli import main; "
        "sys.modules['diffusers'] = sys.modules['peft'] = None; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("convert", adapter, "--to", "peft", "--out", tmp_path / "out")
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True)
    assert (tmp_path / "out/adapter_config.json").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_completed(capsys, shell):
    script = run(capsys, "completion", shell)[1]
    names = ["inspect", "diff", "convert", "extract", "completion"]
    assert len(SUBJECTS) >= 9
    assert all(name in script for name in (*names, "certify", "json"))


def test_bash_completes_commands_and_families(capsys, tmp_path):
    (tmp_path / "complete.bash").write_text(run(capsys, "completion", "bash")[1])
    program = (
        'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMP_LINE="${*:2}"; '
        'COMP_POINT=${#COMP_LINE}; $(complete -p lorascope | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def completed(*words):
        script = ["bash", "-c", program, "bash", str(tmp_path / "complete.bash"), *words]
        return subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()

    assert completed("lorascope", "insp") == ["inspect"]
    assert completed("lorascope", "convert", "--to", "") == ["diffusers", "kohya", "comfyui", "peft"]
    assert "--certify" in completed("lorascope", "convert", "--c")
