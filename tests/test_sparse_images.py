"""Prepared images: the packages' own pixels, every class in every part, wrong sources refused in one line."""

import gzip

import datasets
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lorascope.cli import main
from lorascope.errors import LorascopeError
from lorascope.files import read_json
from lorascope.sparse.images import TEST, TRAIN, VALIDATION, open_images
from lorascope.sparse.prepare import channel_moments, prepare_images
from lorascope.study.config import load_section

rng = np.random.default_rng(0)


def prepare(out, **settings):
    prepare_images(load_section("sparse", {"images": settings})["images"], out, {"key": "abc"})
    return open_images(out)


def write_idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def fashion(tmp_path):
    """A small data set in the files of Fashion-MNIST; returns its pixels and labels, training first."""
    folder, pixels, labels = tmp_path / "fashion", [], []
    folder.mkdir()
    for name, count in (("train", 200), ("t10k", 50)):
        pixels.append(rng.integers(256, size=(count, 28, 28), dtype=np.uint8))
        labels.append(rng.permutation(np.arange(count) % 10))
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", pixels[-1])
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels[-1])
    return folder, np.concatenate(pixels), np.concatenate(labels)


def cifar(n, *, coarse=False, side=32, names=("cat", "dog", "ship")):
    """Images in CIFAR's schema: `img` and `label`, or `fine_label` beside `coarse_label`."""
    pixels = rng.integers(256, size=(n, side, side, 3), dtype=np.uint8)
    labels = (np.arange(n) % len(names)).tolist()
    label = {"fine_label": labels, "coarse_label": [0] * n} if coarse else {"label": labels}
    kinds = {name: datasets.ClassLabel(names=list(names)) for name in label}
    features = datasets.Features({"img": datasets.Image(), **kinds})
    return datasets.Dataset.from_dict({"img": list(map(Image.fromarray, pixels)), **label}, features), pixels


def test_digits_are_scikit_learns(tmp_path):
    images, digits = prepare(tmp_path), load_digits()
    assert images.images.shape == (1797, 8, 8, 1)
    assert isinstance(images.images, np.memmap)
    np.testing.assert_allclose(images.images[..., 0] * (16 / 255), digits.images, atol=0.04)
    assert (images.images[..., 0].max(), images.images.min()) == (255, 0)
    assert (images.classes == digits.target).all()
    assert images.class_names == list("0123456789")


def test_every_part_has_every_class_in_its_share(tmp_path):
    images = prepare(tmp_path, validation=0.25)
    counts = np.array(
        [np.bincount(images.classes[images.parts == part]) for part in (TRAIN, VALIDATION, TEST)]
    )
    shares = np.array([0.8 * 0.75, 0.8 * 0.25, 0.2])
    assert np.abs(counts - shares[:, None] * counts.sum(axis=0)).max() < 2
    assert read_json(tmp_path / "manifest.json")["split"] == {
        "train": counts[0].sum(),
        "validation": counts[1].sum(),
        "test": counts[2].sum(),
    }


def test_the_seed_decides_the_split_and_nothing_else_does(tmp_path):
    one, again, other = (prepare(tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2)))
    assert (one.parts == again.parts).all()
    assert (one.parts != other.parts).any()
    for name in ("images", "labels", "parts"):
        assert (tmp_path / "0" / f"{name}.npy").read_bytes() == (tmp_path / "1" / f"{name}.npy").read_bytes()


def test_moments_are_those_of_the_training_pixels(tmp_path):
    images = prepare(tmp_path)
    shown = images.images[images.parts == TRAIN].astype(np.float64) / 255
    np.testing.assert_allclose((images.mean, images.std), ([shown.mean()], [shown.std()]), rtol=1e-12)


def test_moments_of_a_constant_channel_are_finite():
    images = rng.integers(256, size=(5, 4, 4, 3), dtype=np.uint8)
    images[..., 1] = 51
    moments = channel_moments(images)
    np.testing.assert_allclose(moments["mean"], images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(np.array(moments["std"])[[0, 2]], (images / 255).std(axis=(0, 1, 2))[[0, 2]])
    assert moments["std"][1] == 1


def test_fashion_keeps_its_test_part(tmp_path, fashion):
    folder, pixels, labels = fashion
    images = prepare(tmp_path / "out", source="fashion", path=str(folder))
    assert (images.images[..., 0] == pixels).all()
    assert (images.classes == labels).all()
    assert (np.flatnonzero(images.parts == TEST) == np.arange(200, 250)).all()
    assert (np.bincount(images.classes[images.parts == VALIDATION]) == 2).all()
    assert images.class_names[9] == "boot"


@pytest.mark.parametrize("coarse", [False, True])
def test_a_saved_data_set_in_cifars_schema(tmp_path, coarse):
    (train, pixels), (test, others) = cifar(30, coarse=coarse), cifar(9, coarse=coarse)
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "saved")
    images = prepare(tmp_path / "out", source="disk", path=str(tmp_path / "saved"))
    assert (images.images == np.concatenate([pixels, others])).all()
    assert images.class_names == ["cat", "dog", "ship"]
    assert (images.classes == np.concatenate([np.arange(30) % 3, np.arange(9) % 3])).all()
    assert np.bincount(images.parts).tolist() == [27, 3, 9]


def test_the_hubs_loader_reads_a_folder_of_parquet_files(tmp_path):
    for split, count in (("train", 30), ("validation", 6), ("test", 9)):
        cifar(count)[0].to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    images = prepare(tmp_path / "out", source="hub", path=str(tmp_path / "data"))
    assert np.bincount(images.parts).tolist() == [30, 6, 9]


def test_a_folder_of_files_is_cropped_and_scaled(tmp_path):
    for place in range(12):
        kind = ("round", "square")[place % 2]
        shape = (20 + place, 24) if place % 3 else (24, 24)
        path = tmp_path / "files" / "train" / kind / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, 10 * place, np.uint8)).save(path)
    source = {"source": "disk", "path": str(tmp_path / "files")}
    with pytest.raises(LorascopeError, match=r"must be of one size and square; set sparse\.images\.side"):
        prepare(tmp_path / "out", **source)
    images = prepare(tmp_path / "out", **source, side=16, validation=0.3)
    # Grey images keep one channel.
    assert images.images.shape == (12, 16, 16, 1)
    assert images.class_names == ["round", "square"]
    assert sorted(images.images[:, 0, 0, 0]) == [10 * place for place in range(12)]


def test_columns_may_be_named_and_labels_be_words(tmp_path):
    dataset, pixels = cifar(12)
    words = ["b", "a", "c"] * 4
    dataset = dataset.rename_column("img", "photo").remove_columns("label").add_column("what", words)
    dataset.save_to_disk(tmp_path / "saved")
    images = prepare(
        tmp_path / "out",
        source="disk",
        path=str(tmp_path / "saved"),
        image="photo",
        label="what",
        validation=0.4,
    )
    assert images.class_names == ["a", "b", "c"]
    assert [images.class_names[number] for number in images.classes] == words
    assert (images.images == pixels).all()


def refuse_cifar(tmp_path, dataset, words, **settings):
    dataset.save_to_disk(tmp_path / "saved")
    with pytest.raises(LorascopeError, match=words) as caught:
        prepare(tmp_path / "out", source="disk", path=str(tmp_path / "saved"), **settings)
    assert "\n" not in str(caught.value)


def test_wrong_data_sets_are_refused(tmp_path):
    dataset, _ = cifar(12)
    refuse_cifar(tmp_path / "a", dataset, "columns: img, label; set sparse.images.image", image="photo")
    refuse_cifar(tmp_path / "b", dataset, "holds no images", image="label")
    refuse_cifar(tmp_path / "c", datasets.DatasetDict({"all": dataset}), "split 'train'; splits: all")
    unlabelled = dataset.map(
        lambda row, place: {"label": -1 if place == 3 else row["label"]}, with_indices=True
    )
    refuse_cifar(tmp_path / "d", unlabelled, "1 images have no class")
    refuse_cifar(tmp_path / "e", cifar(12, names=("cat",))[0], "only one class")
    refuse_cifar(tmp_path / "f", cifar(4)[0], "cannot be split")
    deep = Image.fromarray(np.full((8, 8), 60_000, np.uint16))
    features = dataset.features
    wide = datasets.Dataset.from_dict({"img": [deep] * 9, "label": [0, 1, 2] * 3}, features)
    refuse_cifar(tmp_path / "g", wide, "mode I;16; store them as bytes")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "disk", "path": "/nowhere"}, "/nowhere: no such folder"),
        ({"source": "fashion", "path": "/nowhere"}, "dataset-fashion-mnist"),
        ({"source": "mnist"}, "mnist"),
    ],
)
def test_wrong_sources_are_refused(tmp_path, settings, words):
    with pytest.raises(LorascopeError, match=words):
        prepare(tmp_path, **settings)
    assert not (tmp_path / "manifest.json").exists()


def test_the_command_prepares_and_refuses(tmp_path, capsys):
    assert (
        main(["sparse-images", "--settings", '{"validation": 0.2}', "--key", "k", "--out", str(tmp_path)])
        == 0
    )
    manifest = read_json(tmp_path / "manifest.json")
    assert manifest["provenance"]["key"] == "k"
    assert manifest["provenance"]["settings"]["validation"] == 0.2
    assert main(["sparse-images", "--settings", '{"typo": 1}', "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
