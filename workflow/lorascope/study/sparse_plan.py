"""The files of the study of sparse training: images, one run a gate and seed, comparison and page."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from lorascope.data.hub.pins import Pin, is_on_hub, pin_of
from lorascope.data.inputs import IMAGES, check_inputs, fingerprint_by
from lorascope.errors import LorascopeError
from lorascope.sparse.sources import image_files
from lorascope.study import steps
from lorascope.study.downloads import download_key
from lorascope.study.keys import code_digest, key_of
from lorascope.study.named import SPARSE, STUDIES

# Settings of the study that do not reach a training run.
NOT_OF_A_RUN = ("images", "gates", "seeds", "first_seed")


@dataclass(frozen=True)
class SparseRun:
    """One gate trained with one seed.

    Attributes:
        key: content address of all that the run depends on but its seed.
        folder: where it writes.
    """

    gate: str
    seed: int
    key: str
    folder: str

    @property
    def files(self) -> list[str]:
        """What the run leaves for the comparison."""
        return [f"{self.folder}/epochs.parquet", f"{self.folder}/run.json"]


class SparsePlan:
    """All paths and keys of the study of sparse training.

    Attributes:
        pin_folder: where the pin of images on the hub lies.

    Args:
        config: what :func:`lorascope.study.config.load_config` returned.
    """

    def __init__(self, config: dict):
        self.settings = config["sparse"]
        part, results = PurePosixPath(SPARSE, self.image_settings["source"]), config["results"]
        self._shared = PurePosixPath(results, part)
        self.pin_folder = str(PurePosixPath(config["pins"] or results, part))
        self._named = PurePosixPath(results, STUDIES, config["study"], part)

    def folder(self, *steps: str) -> str:
        """Return a path below the folder of what all studies share of these images."""
        return str(self._shared.joinpath(*steps))

    def named(self, *steps: str) -> str:
        """Return a path below the folder of this study's comparison and page of these images."""
        return str(self._named.joinpath(*steps))

    @property
    def image_settings(self) -> dict:
        """Return what decides the prepared images."""
        return self.settings["images"]

    @cached_property
    def pin(self) -> Pin | None:
        """Return what is kept of images on the hub, which is asked the first time; None of any other.

        Raises:
            LorascopeError: the hub does not tell, or the images lack a column.
        """
        settings = self.image_settings
        if not is_on_hub(settings):
            return None
        pin = pin_of(settings, self.pin_folder)
        for key in ("image", "label"):
            name = settings[key]
            if name is not None and pin.columns and name not in pin.columns:
                there = ", ".join(pin.columns)
                raise LorascopeError(
                    f"{pin.path}: no column '{name}'; columns: {there}; set sparse.images.{key}"
                )
        return pin

    @property
    def download(self) -> list[str]:
        """Return the file that says what images were downloaded; nothing where they are not on the hub."""
        return [self.folder("download", f"{download_key(self.pin)}.json")] if self.pin else []

    @cached_property
    def images_key(self) -> str:
        """Return the key of the prepared images.

        Raises:
            LorascopeError: the images' folder is missing or empty, or the hub does not tell the commit.
        """
        settings = dict(self.image_settings)
        files = image_files(settings)
        fingerprint = fingerprint_by(files, self.folder("images"), IMAGES) if files else ""
        if self.pin:
            fingerprint = self.pin.commit
            settings.pop("revision")  # by whichever name
        else:
            settings.pop("path")  # the fingerprint says what is there; where it lies does not matter
        key = key_of("sparse-images", settings, fingerprint, code_digest(*steps.SPARSE_IMAGES))
        check_inputs(self.folder("images", key), IMAGES)
        return key

    @property
    def images(self) -> str:
        """Return the folder of the prepared images."""
        return self.folder("images", self.images_key)

    def run_settings(self, gate: str) -> dict:
        """Return what ``lorascope sparse-train`` is given for one gate."""
        shared = {name: value for name, value in self.settings.items() if name not in NOT_OF_A_RUN}
        return {"gate": gate, **shared}

    def run_key(self, gate: str) -> str:
        """Return the key of the runs of a gate."""
        code = code_digest(*steps.sparse_train(gate))
        return key_of("sparse-train", self.images_key, self.run_settings(gate), code)

    def run(self, gate: str, seed: int) -> SparseRun:
        """Return the run of one gate with one seed."""
        key = self.run_key(gate)
        return SparseRun(gate, seed, key, self.folder("runs", gate, key, f"seed-{seed}"))

    @cached_property
    def runs(self) -> list[SparseRun]:
        """All runs, gate by gate."""
        first, count = self.settings["first_seed"], self.settings["seeds"]
        return [self.run(gate, first + k) for gate in self.settings["gates"] for k in range(count)]

    @property
    def run_files(self) -> list[str]:
        """The files of all runs."""
        return [path for run in self.runs for path in run.files]

    @cached_property
    def key(self) -> str:
        """Return the key of comparison and page: all that they are made from."""
        return key_of("sparse", [run.folder for run in self.runs], code_digest(*steps.SPARSE_RESULTS))

    @property
    def stamp(self) -> str:
        """Return the file that says by which key the plain-named results were made."""
        return self.named(".study", self.key)

    @property
    def comparison(self) -> str:
        """Return the folder of the comparison."""
        return self.named("comparison")

    @property
    def page(self) -> str:
        """Return the page."""
        return self.named("report", "index.html")
