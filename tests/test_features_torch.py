"""Representations through torch: the same formulas, the same numbers, on the CPU and on a CUDA device."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import test_cli
from lorascope import cli
from lorascope.features import registry
from lorascope.features.batch import MatrixBatch
from lorascope.features.device_blocks import DeviceBlocks
from lorascope.features.extract import FeatureFile, extract
from lorascope.features.read import read_features
from lorascope.files import read_metadata
from lorascope.study import keys, steps
from test_features_extract import COMPUTED, Weights

SHAPES = [(1, 1), (2, 1), (1, 320), (768, 1), (2, 640), (320, 2), (4, 40), (96, 4), (16, 320), (320, 16)]
SHAPES += [(70, 80)]
RELATIVE = 1e-5
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param


def matrices(shape):
    """Return ordinary matrices and every degenerate one that the definitions mention, float32 [n, *shape]."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((16, *shape), dtype=np.float32)
    values[1] = 0
    values[2] = 3.7
    values[3] *= np.float32(1e-42)
    values[4] *= np.float32(1e37)
    values[5] *= np.float32(1e-20)
    values[6] = np.round(values[6])
    values[7] -= values[7].mean()
    values[8] = values[8, 0]
    values[9] += np.float32(1000)
    values[10, 0, 0] = 1e6
    values[11] = np.abs(values[11])
    values[12, :, : shape[1] // 2] = 0
    values[13] = np.arange(values[13].size).reshape(shape)
    return values


def allowance(name, expected):
    """Return the absolute error allowed beside the relative one: float32 rounding of a DFT, else none.

    Magnitudes that are 0 in exact arithmetic, as all but one of a constant matrix, come out as rounding
    errors of the largest.
    """
    if name != "frequency":
        return np.zeros((len(expected), 1))
    names = registry.feature_names(name)
    return RELATIVE * 0.1 * expected[:, [names.index("magnitude_max")]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", COMPUTED)
def test_torch_agrees_with_numpy(name, shape, device):
    values = matrices(shape)
    compute = registry.load(name).compute
    expected = compute(MatrixBatch(values))
    found = compute(MatrixBatch(torch.from_numpy(values).to(device)))
    assert found.device.type == device
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    # In float64: the largest float32 times anything must not overflow.
    error = np.abs(found.cpu().numpy().astype(np.float64) - expected)
    allowed = RELATIVE * np.abs(expected.astype(np.float64)) + allowance(name, expected)
    worst = np.unravel_index(np.argmax(error - allowed), error.shape)
    assert (error <= allowed).all(), (worst, expected[worst], found[worst])


def extracted(weights, folder, blocks, **settings):
    files = [FeatureFile(name, folder / f"{name}.parquet") for name in COMPUTED]
    extract(weights, files, **settings, **blocks)
    return {file.representation: read_features([file.path]) for file in files}


@pytest.mark.parametrize("row_chunk", [5, 21])
@pytest.mark.parametrize("block", [1, 200, 1 << 20])
def test_a_device_writes_the_files_of_the_host(tmp_path, monkeypatch, device, row_chunk, block):
    # Blocks of one row and of all: buffers are filled again while results are still to come, and grow.
    monkeypatch.setattr("lorascope.features.device_blocks.BLOCK_ENTRIES", block)
    weights = Weights(21)
    expected = extracted(weights, tmp_path / "host", {})
    blocks = {"blocks": DeviceBlocks(device)}
    found = extracted(weights, tmp_path / device, blocks, row_chunk=row_chunk)
    for name in COMPUTED:
        assert found[name][1] == expected[name][1]
        np.testing.assert_allclose(found[name][0], expected[name][0], rtol=RELATIVE, atol=1e-6)


def test_weights_that_are_not_finite_are_refused_by_matrix_and_row(tmp_path, refused, device):
    weights = Weights(12)
    weights.values[2][9, 1, 5] = np.nan
    with refused(r"'block\.2\.attn1\.weight': adapter row 9 "):
        extracted(weights, tmp_path, {"blocks": DeviceBlocks(device)}, row_chunk=4)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_reader_is_the_error_of_the_extraction(tmp_path):
    class Broken(Weights):
        def read(self, matrix, start, stop):
            if matrix == 3:
                raise OSError("disk on fire")
            return super().read(matrix, start, stop)

    with pytest.raises(OSError, match="disk on fire"):
        extracted(Broken(6), tmp_path, {"blocks": DeviceBlocks("cpu")})


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_device_that_is_not_there_is_refused(refused):
    with refused("--device cuda: torch finds no CUDA device"):
        DeviceBlocks("cuda")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A folder in which `lorascope extract` finds the data set `data`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cli.main(test_cli.prepare(test_cli.save(tmp_path / "set"))) == 0
    return tmp_path


def test_the_command_takes_a_device_and_the_file_says_which(prepared):
    for device, out in (("cpu", "cpu.parquet"), ("auto", "auto.parquet")):
        assert cli.main([*test_cli.extract("stats", out=out), "--device", device]) == 0
    assert read_metadata("cpu.parquet")["device"] == "cpu"
    assert (prepared / "auto.parquet").read_bytes() == (prepared / "cpu.parquet").read_bytes()


@pytest.mark.parametrize(
    ("representation", "reason"),
    [("stats", "torch finds no CUDA device"), ("delta_spectrum", "'delta_spectrum' is computed on the CPU")],
)
def test_the_command_refuses_what_no_device_computes(prepared, capsys, representation, reason):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    assert cli.main([*test_cli.extract(representation), "--device", "cuda"]) == 2
    assert f"--device cuda: {reason}" in capsys.readouterr().err
    assert not (prepared / "features.parquet").exists()


def test_a_key_does_not_cover_what_only_a_device_runs():
    for name in COMPUTED:
        covered = set(keys._closure(steps.extract(name)))
        assert "lorascope.features.namespace" in covered
        assert not {"lorascope.features.device_blocks", "lorascope.devices"} & covered


def test_a_job_on_the_host_imports_no_torch():
    program = (
        "import sys, numpy; from lorascope.features import extract, registry\n"
        "from lorascope.features.batch import MatrixBatch\n"
        f"[registry.load(name).compute(MatrixBatch(numpy.ones((2, 2, 3), 'f4'))) for name in {COMPUTED}]\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
