"""The files of a study: which step writes what, under which key.

Looks at the data and writes nothing, but for the pin of a data set on the hub that is planned for the first
time: that is no file of any rule.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from lorascope.adapters.layer_sets import groups_of, select_layers
from lorascope.data.hub.pins import Pin, is_on_hub, pin_of
from lorascope.data.inputs import check_inputs
from lorascope.data.label_columns import check_columns
from lorascope.data.sources import layers_of_columns, source_fingerprint, source_layers, zoo_knobs
from lorascope.errors import LorascopeError
from lorascope.features.registry import is_fitted, parts
from lorascope.probes.registry import is_seedless, reads
from lorascope.store.places import check_place
from lorascope.study import steps
from lorascope.study.analyses import analyses
from lorascope.study.curves import curves
from lorascope.study.downloads import download_key
from lorascope.study.keys import code_digest, key_of
from lorascope.study.named import STUDIES
from lorascope.zoo.available import check_images
from lorascope.zoo.recipe import Recipe

# What of a data set's entry decides which adapters `prepare` lays out.
PLACE_SETTINGS = ("source", "path", "hub_split", "labels", "path_column", "max_rank", "max_rejected")


@dataclass(frozen=True)
class Block:
    """Consecutive seeds that one job trains."""

    first: int
    last: int

    @property
    def name(self) -> str:
        return f"seeds-{self.first}-{self.last}"


@dataclass(frozen=True)
class Cell:
    """One data set × layer set × representation × probe.

    Attributes:
        folder: where the runs of all seeds go.
        key: content address without seeds, so that more seeds keep those that are done.
        features: feature files, part by part (an ensemble has five), group by group.
        layers: the layers that the probe sees.
    """

    dataset: str
    layer_set: str
    representation: str
    probe: str
    key: str
    folder: str
    features: tuple[str, ...]
    layers: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def runs(self) -> list[str]:
        """One table a block: a row a seed."""
        return [f"{self.folder}/{block.name}.runs.parquet" for block in self.blocks]

    @property
    def details(self) -> list[str]:
        """One table a block: curves, confusion matrices and probabilities of each seed."""
        return [f"{self.folder}/{block.name}.details.parquet" for block in self.blocks]

    @property
    def files(self) -> list[str]:
        """All that training the cell is asked for."""
        return self.runs + self.details

    def log(self, block: Block) -> str:
        """Return the log of one block's job."""
        folder = f"logs/{self.dataset}/train/{self.representation}"
        return f"{folder}/{self.layer_set}.{self.probe}.{self.key}.{block.name}.log"


class Plan:
    """All paths and keys of a study.

    Args:
        config: what :func:`lorascope.study.config.load_config` returned.
    """

    def __init__(self, config: dict):
        self.config = config
        self.results = PurePosixPath(config["results"])
        # Each job of the DAG asks again: the data's fingerprint, a recipe, a cell are worked out once.
        self.pin = cache(self._pin)
        self.fingerprint = cache(self._fingerprint)
        self.data_key = cache(self._data_key)
        self.layers = cache(self._layers)
        self.recipe = cache(self._recipe)
        self.cell = cache(self._cell)
        self.unusable = cache(self._unusable)
        self.left_out: list[str] = []

    def check(self) -> None:
        """Leave the data sets that cannot be used out of the study; ``left_out`` names them.

        Raises:
            LorascopeError: the place of shared features is not there.
        """
        if self.config["features_dir"]:
            check_place(self.config["features_dir"])
        self.left_out = [name for name in self.config["dataset"] if self.unusable(name)]
        usable = [name for name in self.config["dataset"] if name not in self.left_out]
        self.config = {**self.config, "dataset": usable}

    def _unusable(self, dataset: str) -> str:
        """Return why a data set cannot be used, in one line; empty where nothing speaks against it."""
        try:
            self.check_dataset(dataset)
        except LorascopeError as error:
            return str(error)
        return ""

    def check_dataset(self, dataset: str) -> None:
        """Look at a data set, so that what is wrong with it is said before anything runs.

        Raises:
            LorascopeError: it is not there, lacks the column of labels or of groups, or a layer set of the
                study matches none of its layers.
        """
        self.data_key(dataset)
        labels = self.label_settings(dataset)
        pin = self.pin(dataset)
        columns = pin and pin.columns
        check_columns(self.settings(dataset), labels["label"], labels["group"], dataset, columns)
        if not all(Path(shard).exists() for shard in self.shards(dataset)):
            check_images(self.recipe(dataset))
        for layer_set in self.config["layer_sets"]:
            self.layer_set(dataset, layer_set)

    def settings(self, dataset: str) -> dict:
        """Return the config entry of a data set.

        Raises:
            LorascopeError: the config has no such data set.
        """
        if dataset not in self.config["datasets"]:
            raise LorascopeError(
                f"no data set '{dataset}' in the config; there are: {', '.join(self.config['datasets'])}"
            )
        return self.config["datasets"][dataset]

    def folder(self, dataset: str, *steps: str) -> str:
        """Return a path below the folder of what all studies share of a data set."""
        return str(self.results.joinpath(dataset, *steps))

    @property
    def study_folder(self) -> str:
        """Return the folder of what bears this study's name."""
        return str(self.results / STUDIES / self.config["study"])

    def named(self, dataset: str, *steps: str) -> str:
        """Return a path below the folder of this study's tables and page of a data set."""
        return str(PurePosixPath(self.study_folder, dataset, *steps))

    # zoo

    def _recipe(self, dataset: str) -> Recipe:
        """Return the recipe of a zoo data set."""
        if self.settings(dataset)["source"] != "zoo":
            raise LorascopeError(f"config: datasets.{dataset}: not a zoo")
        return Recipe.from_settings(zoo_knobs(self.settings(dataset)))

    def zoo_key(self, dataset: str) -> str:
        """Return the key of a zoo's adapters."""
        recipe = self.recipe(dataset)
        base = code_digest(*steps.SHIPPED_BASE) if recipe.base == "shipped" else self.base_key(dataset)
        return key_of("zoo", recipe.settings(), base, code_digest(*steps.ZOO_TRAIN))

    def base_key(self, dataset: str) -> str:
        """Return the key of a base that is trained here."""
        return key_of("base", self.recipe(dataset).base_settings(), code_digest(*steps.ZOO_BASE))

    def zoo_folder(self, dataset: str) -> str:
        """Return the folder of a zoo."""
        return self.folder(dataset, "zoo", self.zoo_key(dataset))

    def base(self, dataset: str) -> list[str]:
        """Return the trained base's file; nothing where the shipped base serves."""
        if self.recipe(dataset).base == "shipped":
            return []
        return [self.folder(dataset, "base", self.base_key(dataset), "base.safetensors")]

    def shards(self, dataset: str) -> list[str]:
        """Return the shards of a zoo; nothing for other sources."""
        if self.settings(dataset)["source"] != "zoo":
            return []
        return [
            f"{self.zoo_folder(dataset)}/adapters-{block:04d}.safetensors"
            for block in range(self.recipe(dataset).blocks)
        ]

    def picture(self, dataset: str) -> list[str]:
        """Return the zoo's picture of samples; nothing for other sources."""
        return [f"{self.zoo_folder(dataset)}/samples.png"] if self.shards(dataset) else []

    # data

    def _pin(self, dataset: str) -> Pin | None:
        """Return what is kept of a data set on the hub, which is asked the first time; None of any other."""
        settings = self.settings(dataset)
        return pin_of(settings, self.pin_folder(dataset)) if is_on_hub(settings) else None

    def pin_folder(self, dataset: str) -> str:
        """Return the folder of a data set's pin, which no study shares with another data set."""
        return str(PurePosixPath(self.config["pins"] or self.results, dataset))

    def download(self, dataset: str) -> list[str]:
        """Return the file that says what of a data set was downloaded; nothing where it is not on the hub."""
        pin = self.pin(dataset)
        return [self.folder(dataset, "download", f"{download_key(pin)}.json")] if pin else []

    def _data_key(self, dataset: str) -> str:
        settings = self.settings(dataset)
        zoo = settings["source"] == "zoo"
        upstream = self.zoo_key(dataset) if zoo else self.fingerprint(dataset)
        place = {name: settings[name] for name in PLACE_SETTINGS if name in settings}
        if settings["source"] in ("disk", "folder"):
            place.pop("path")  # the fingerprint says what is there; where it lies does not matter
        key = key_of("prepare", upstream, place, self.config["grouping"], code_digest(*steps.PREPARE))
        check_inputs(self.folder(dataset, "data", key))
        return key

    def _fingerprint(self, dataset: str) -> str:
        """Return what identifies a data set's files, or its commit on the hub; empty where it is made."""
        if pin := self.pin(dataset):
            return pin.commit
        return source_fingerprint(self.settings(dataset), self.folder(dataset, "data"))

    def _layers(self, dataset: str) -> tuple[str, ...]:
        """Return the layers of a data set."""
        if pin := self.pin(dataset):
            return tuple(layers_of_columns(pin.matrices, pin.path))
        return tuple(source_layers(self.settings(dataset)))

    def data_folder(self, dataset: str) -> str:
        """Return the folder of the laid-out weights."""
        return self.folder(dataset, "data", self.data_key(dataset))

    def groups(self, dataset: str) -> list[str]:
        """Return the layer groups: the units of extraction."""
        return groups_of(self.layers(dataset), self.config["grouping"])

    def label_settings(self, dataset: str) -> dict:
        """Return what decides labels and split."""
        settings = self.settings(dataset)
        return {
            "label": settings.get("label", "label"),
            "group": settings.get("group"),
            # A zoo parted its images before the first adapter was trained: its split is made.
            "split": None if settings["source"] == "zoo" else self.config["split"],
        }

    def label_key(self, dataset: str) -> str:
        """Return the key of the label and split table."""
        code = code_digest(*steps.LABEL)
        return key_of("label", self.data_key(dataset), self.label_settings(dataset), code)

    def label_folder(self, dataset: str) -> str:
        """Return the folder of the label and split table."""
        return self.folder(dataset, "labels", self.label_key(dataset))

    def passport_key(self, dataset: str) -> str:
        """Return the key of a data set's passport."""
        code = code_digest(*steps.PASSPORT)
        return key_of("passport", self.data_key(dataset), self.label_key(dataset), code)

    def passport(self, dataset: str) -> list[str]:
        """Return the files of a data set's passport: what is known of it, and the sizes of its matrices."""
        folder = self.folder(dataset, "passport", self.passport_key(dataset))
        return [f"{folder}/passport.json", f"{folder}/norms.parquet"]

    # features

    def fit_key(self, dataset: str, representation: str) -> str:
        """Return the key of what a representation learned from the training part."""
        code = code_digest(*steps.fit(representation))
        return key_of("fit", self.data_key(dataset), self.label_key(dataset), representation, code)

    def _fitted(self) -> list[str]:
        """Return the representations of the study that are fitted."""
        return [name for name in self.config["representations"] if is_fitted(name)]

    def fit_file(self, dataset: str, representation: str, group: str) -> list[str]:
        """Return the fit of one layer group; nothing where the representation is not fitted."""
        if not is_fitted(representation):
            return []
        key = self.fit_key(dataset, representation)
        return [self.folder(dataset, "fits", representation, key, f"{group}.safetensors")]

    def feature_key(self, dataset: str, representation: str) -> str:
        """Return the key of one representation of a data set."""
        fit = self.fit_key(dataset, representation) if is_fitted(representation) else ""
        code = code_digest(*steps.extract(representation))
        return key_of("extract", self.data_key(dataset), representation, fit, code)

    def feature_file(self, dataset: str, representation: str, group: str) -> str:
        """Return the feature file of one layer group."""
        key = self.feature_key(dataset, representation)
        return self.folder(dataset, "features", representation, key, f"{group}.parquet")

    def features(self, dataset: str, representation: str, layers: list[str]) -> list[tuple[str, str]]:
        """Return key and path of the feature files that hold some layers, part by part, group by group."""
        return [
            (self.feature_key(dataset, part), self.feature_file(dataset, part, group))
            for part in parts(representation)
            for group in groups_of(layers, self.config["grouping"])
        ]

    # cells

    def layer_set(self, dataset: str, layer_set: str) -> list[str]:
        """Return the layers of a layer set."""
        patterns = self.config["layer_patterns"][layer_set]
        return select_layers(list(self.layers(dataset)), patterns, f"{dataset}: layer set '{layer_set}'")

    def _cell(self, dataset: str, layer_set: str, representation: str, probe: str) -> Cell:
        """Return one cell of the study."""
        layers = self.layer_set(dataset, layer_set)
        features = self.features(dataset, representation, layers)
        key = key_of(
            "train",
            [key for key, _ in features],
            self.label_key(dataset),
            layers,
            probe,
            self.config[probe],
            code_digest(*steps.train(probe, self.config[probe])),
        )
        return Cell(
            dataset,
            layer_set,
            representation,
            probe,
            key,
            self.folder(dataset, "probes", representation, f"{layer_set}.{probe}", key),
            tuple(path for _, path in features),
            tuple(layers),
            self.blocks(probe),
        )

    def cells(self, dataset: str, representations: list[str] | None = None) -> list[Cell]:
        """Return the cells of a data set, or of some of its representations."""
        return [
            self.cell(dataset, layer_set, representation, probe)
            for representation in (representations or self.config["representations"])
            for layer_set in self.config["layer_sets"]
            for probe in self.config["probes"]
            if reads(probe, representation)
        ]

    def cell_files(self, dataset: str, representations: list[str] | None = None) -> list[str]:
        """Return the result files of :meth:`cells`."""
        return [path for cell in self.cells(dataset, representations) for path in cell.files]

    def blocks(self, probe: str) -> tuple[Block, ...]:
        """Return the blocks of seeds; a probe without randomness has one seed."""
        first, size = self.config["first_seed"], self.config["seeds_per_job"]
        count = 1 if is_seedless(probe) else self.config["seeds"]
        return tuple(
            Block(first + start, first + min(start + size, count) - 1) for start in range(0, count, size)
        )

    # controls

    def control_settings(self) -> dict:
        """Return what decides the controls."""
        return {
            "controls": self.config["controls"],
            "draws": self.config["control_draws"],
            "penalties": self.config["ridge"]["penalties"],
        }

    def control_features(self, dataset: str) -> dict[str, list[str]]:
        """Return representation → feature files of all layers that the study looks at."""
        files: dict[str, dict[str, None]] = {}
        for cell in self.cells(dataset):
            files.setdefault(cell.representation, {}).update(dict.fromkeys(cell.features))
        return {representation: list(paths) for representation, paths in files.items()}

    def control_key(self, dataset: str) -> str:
        """Return the key of the controls of a data set."""
        features = [
            [name, *(self.feature_key(dataset, part) for part in parts(name))]
            for name in self.config["representations"]
        ]
        layers = [(name, self.layer_set(dataset, name)) for name in self.config["layer_sets"]]
        code = code_digest(*steps.CONTROL)
        return key_of("control", self.passport_key(dataset), features, layers, self.control_settings(), code)

    def controls(self, dataset: str) -> list[str]:
        """Return the files of the controls: their answers, and the invariance of every representation."""
        folder = self.folder(dataset, "controls", self.control_key(dataset))
        return [f"{folder}/controls.parquet", f"{folder}/invariance.json"]

    # results with plain names

    def study_key(self, dataset: str) -> str:
        """Return the key of the final tables and the page: everything that they are made from."""
        cells = [
            (self._below(cell.folder), [block.name for block in cell.blocks]) for cell in self.cells(dataset)
        ]
        code = [code_digest(*steps.RESULTS), code_digest(*steps.KEEP)]
        beside = [(name, analysis.key) for name, analysis in analyses(self, dataset).items()]
        paths = [self._below(curve.path) for curve in curves(self, dataset)]
        pictures = [self._below(picture) for picture in self.picture(dataset)]
        upstream = self.label_key(dataset), self.control_key(dataset), pictures
        return key_of("study", cells, beside, paths, upstream, code)

    def _below(self, path: str) -> str:
        """Return a path without the results folder, which may lie anywhere."""
        return str(PurePosixPath(path).relative_to(self.results))

    def key(self) -> str:
        """Return the key of all studies together: it changes when any data set, setting or code does."""
        return key_of([self.study_key(dataset) for dataset in self.config["dataset"]])

    def analysis_files(self, dataset: str) -> list[str]:
        """Return the files of what is computed beside the cells."""
        return [path for analysis in analyses(self, dataset).values() for path in analysis.files.values()]

    def stamp(self, dataset: str) -> str:
        """Return the file that says by which key the plain-named results were made."""
        return self.named(dataset, ".study", self.study_key(dataset))

    def cell_entry(self, cell: Cell) -> dict:
        """Return what reading the results of a cell needs to know, as plain JSON."""
        return {
            "layer_set": cell.layer_set,
            "representation": cell.representation,
            "probe": cell.probe,
            "runs": cell.runs,
            "details": cell.details,
            "logs": [cell.log(block) for block in cell.blocks],
        }

    def aggregation(self, dataset: str) -> dict:
        """Return what `aggregate` needs to know, as plain JSON."""
        labels, cells = self.label_folder(dataset), self.cells(dataset)
        return {
            "dataset": dataset,
            "cells": [self.cell_entry(cell) for cell in cells],
            "analyses": {
                name: {"files": analysis.files, "log": analysis.log}
                for name, analysis in analyses(self, dataset).items()
            },
            "curves": [curve.path for curve in curves(self, dataset)],
            "adapters": f"{labels}/adapters.parquet",
            "manifest": f"{labels}/manifest.json",
            "passport": self.passport(dataset)[0],
            "controls": self.controls(dataset)[0],
            "invariance": self.controls(dataset)[1],
            "control_log": f"logs/{dataset}/control/{self.control_key(dataset)}.log",
            "settings": {**self.config, "datasets": {dataset: self.settings(dataset)}},
            "keys": {
                "study": self.study_key(dataset),
                "data": self.data_key(dataset),
                "labels": self.label_key(dataset),
                "fits": {name: self.fit_key(dataset, name) for name in self._fitted()},
                "features": {
                    part: self.feature_key(dataset, part)
                    for name in self.config["representations"]
                    for part in parts(name)
                },
                "passport": self.passport_key(dataset),
                "controls": self.control_key(dataset),
                "cells": {f"{cell.representation}/{cell.layer_set}/{cell.probe}": cell.key for cell in cells},
            },
        }
