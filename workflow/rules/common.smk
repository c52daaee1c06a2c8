# The only file with functions: from wildcards to the paths and settings of the plan.
import shlex
import sys
from pathlib import Path

from snakemake.io import is_flagged

from lorascope.errors import LorascopeError
from lorascope.features.registry import REPRESENTATIONS
from lorascope.probes.registry import reads
from lorascope.stats.table_names import TABLE_NAMES
from lorascope.study.analyses import analyses
from lorascope.study.config import load_config
from lorascope.study.curves import all_curves, curve, curves, scaling_key
from lorascope.study.downloads import download_key
from lorascope.study.keys import canonical_json
from lorascope.study.lock import start_run
from lorascope.study.plan import Plan
from lorascope.study.record import record_files
from lorascope.study.sparse_plan import SparsePlan

# `snakemake` may be called by its path, from a shell that has not activated its environment.
shell.prefix(f"PATH=$PATH:{shlex.quote(str(Path(sys.executable).parent))}; ")

# Below the prefix of an importing workflow, or in the local copy of a store: snakemake applies these to files,
# not to params.
PLACE = workflow.modifier.path_modifier


def with_pins(settings):
    """Say where the pins lie: they are no files of any rule, so that they stay here where files lie in a store."""
    results = PLACE.modify(settings["results"])
    stays = (
        settings["results"] if is_flagged(results, "storage_object") else str(results)
    )
    return {**settings, "pins": settings["pins"] or stays}


# Here, and not in the input functions, because snakemake shows a traceback of what those raise.
try:
    PLAN = Plan(with_pins(load_config(config, workflow.config_settings.config)))
    PLAN.check()
    SPARSE = SparsePlan(PLAN.config)
except LorascopeError as error:
    raise WorkflowError(str(error)) from None

RESULTS = PLAN.config["results"]
# What bears the study's name; all else is shared with other studies.
NAMED, NAMED_LOGS = PLAN.study_folder, f"logs/studies/{PLAN.config['study']}"


def placed(path):
    """Return where a job finds a path."""
    return str(PLACE.modify(path))


def key_of_part(part):
    """Return the key of the tables and the page of a data set, or of the images of sparse training."""
    return SPARSE.key if part.startswith("sparse/") else PLAN.study_key(part)


# What the results do not depend on is left out: another value reruns nothing.
CONFIG = {**PLAN.config, "results": placed(RESULTS), "features_dir": None}
CONFIG_JSON = canonical_json(CONFIG)
STUDIES_KEY = PLAN.key()


wildcard_constraints:
    dataset="|".join(map(re.escape, PLAN.config["datasets"])),
    images="digits|fashion|hub|disk",
    part="|".join(
        [*map(re.escape, PLAN.config["datasets"]), "scaling", "sparse/[a-z]+"]
    ),
    gate="|".join(map(re.escape, PLAN.config["sparse"]["gates"])),
    seed="[0-9]+",
    representation="|".join(REPRESENTATIONS),
    layer_set="|".join(PLAN.config["layer_patterns"]),
    probe="|".join({*PLAN.config["probes"], *PLAN.config["scaling"]["probes"]}),
    key="[0-9a-f]{10}",
    block="[0-9]+",
    group="[A-Za-z0-9_.]+",


def growing(megabytes):
    """Return a resource function: memory that doubles with every try, where a profile allows several."""
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


def same_key(wildcards, key):
    """Refuse a path that other settings made: what is under its key cannot be made from these."""
    if wildcards.key != key:
        raise WorkflowError(
            f"key {wildcards.key} belongs to other settings; the present ones give {key}"
        )
    return key


def zoo_settings(wildcards):
    same_key(wildcards, PLAN.zoo_key(wildcards.dataset))
    return canonical_json(PLAN.recipe(wildcards.dataset).settings())


def base_settings(wildcards):
    same_key(wildcards, PLAN.base_key(wildcards.dataset))
    return canonical_json(
        {**PLAN.recipe(wildcards.dataset).base_settings(), "base": "train"}
    )


def base_file(wildcards):
    return ancient(PLAN.base(wildcards.dataset))


def shards(wildcards):
    return ancient(PLAN.shards(wildcards.dataset))


def shard_tables(wildcards):
    return ancient(
        [
            str(Path(path).with_suffix(".parquet"))
            for path in PLAN.shards(wildcards.dataset)
        ]
    )


def picture(wildcards):
    return PLAN.picture(wildcards.dataset)


def pin_of_part(part):
    """Return what is kept of a data set on the hub, or of the images of sparse training."""
    return SPARSE.pin if part.startswith("sparse/") else PLAN.pin(part)


def pinned_commit(wildcards):
    pin = pin_of_part(wildcards.part)
    if pin is None:
        raise WorkflowError(f"{wildcards.part}: not on the hub; nothing to download")
    same_key(wildcards, download_key(pin))
    return pin.commit


def pin_folder(wildcards):
    return f"{PLAN.config['pins']}/{wildcards.part}"


def downloaded(wildcards):
    return ancient(PLAN.download(wildcards.dataset))


def downloaded_images(wildcards):
    return ancient(SPARSE.download)


def data_settings(wildcards):
    same_key(wildcards, PLAN.data_key(wildcards.dataset))
    return canonical_json(PLAN.settings(wildcards.dataset))


def data_fingerprint(wildcards):
    found = PLAN.fingerprint(wildcards.dataset)
    return f"--fingerprint {found}" if found else ""


def prepare_threads(wildcards):
    """Only adapter files are read in parallel; other sources are one stream."""
    return 8 if PLAN.settings(wildcards.dataset)["source"] == "folder" else 1


def data_tables(wildcards):
    folder = PLAN.data_folder(wildcards.dataset)
    return ancient([f"{folder}/source.parquet", f"{folder}/source.json"])


def data_weights(wildcards):
    folder = PLAN.data_folder(wildcards.dataset)
    # Norms are read by `predict` and `similar` alone, but what nobody asks for is not made again when it is lost.
    return ancient(
        [f"{folder}/{name}" for name in ("layers.parquet", "norms.parquet", "weights")]
    )


def data_layers(wildcards):
    return ancient(f"{PLAN.data_folder(wildcards.dataset)}/layers.parquet")


def data_folder(wildcards):
    return placed(PLAN.data_folder(wildcards.dataset))


def label_settings(wildcards):
    same_key(wildcards, PLAN.label_key(wildcards.dataset))
    return canonical_json(PLAN.label_settings(wildcards.dataset))


def label_folder(wildcards):
    return placed(PLAN.label_folder(wildcards.dataset))


def passport_key(wildcards):
    return same_key(wildcards, PLAN.passport_key(wildcards.dataset))


def passport_file(wildcards):
    return ancient(PLAN.passport(wildcards.dataset)[0])


def passport_files(wildcards):
    return ancient(PLAN.passport(wildcards.dataset))


def passport_labels(wildcards):
    return ancient(label_tables(wildcards))


def control_key(wildcards):
    return same_key(wildcards, PLAN.control_key(wildcards.dataset))


def control_features(wildcards):
    files = PLAN.control_features(wildcards.dataset).values()
    return ancient(list(dict.fromkeys(path for paths in files for path in paths)))


def control_files(wildcards):
    return PLAN.controls(wildcards.dataset)


def fitted_of(wildcards):
    same_key(wildcards, PLAN.fit_key(wildcards.dataset, wildcards.representation))
    return wildcards.representation


def fit_file(wildcards):
    return ancient(
        PLAN.fit_file(wildcards.dataset, wildcards.representation, wildcards.group)
    )


def representation_of(wildcards):
    same_key(wildcards, PLAN.feature_key(wildcards.dataset, wildcards.representation))
    return wildcards.representation


def device_of(wildcards, resources):
    """A job that a profile gives a GPU uses it."""
    return "auto" if resources.get("gpu") else "cpu"


def store_of(wildcards, resources):
    """Where features are shared. It takes resources because snakemake then reruns nothing when it changes."""
    place = PLAN.config["features_dir"]
    return (
        f"--store {shlex.quote(place)} --dataset {wildcards.dataset}" if place else ""
    )


def cell_of(wildcards):
    return PLAN.cell(
        wildcards.dataset,
        wildcards.layer_set,
        wildcards.representation,
        wildcards.probe,
    )


def cell_features(wildcards):
    return ancient(list(cell_of(wildcards).features))


def cell_adapters(wildcards):
    return ancient(label_tables(wildcards)[0])


def cell_layers(wildcards):
    return canonical_json(cell_of(wildcards).layers)


def probe_settings(wildcards):
    same_key(wildcards, cell_of(wildcards).key)
    return canonical_json(PLAN.config[wildcards.probe])


def importance_of(wildcards):
    return analyses(PLAN, wildcards.dataset)["importance"]


def importance_features(wildcards):
    return ancient(list(importance_of(wildcards).features))


def importance_layers(wildcards):
    return canonical_json(importance_of(wildcards).layers)


def importance_settings(wildcards):
    same_key(wildcards, importance_of(wildcards).key)
    return canonical_json(PLAN.config["importance"])


def map_settings(wildcards):
    same_key(wildcards, analyses(PLAN, wildcards.dataset)["adapter_map"].key)
    return canonical_json(PLAN.config["adapter_map"])


def all_cells(wildcards):
    return PLAN.cell_files(wildcards.dataset)


def all_analyses(wildcards):
    return PLAN.analysis_files(wildcards.dataset)


def curve_settings(wildcards):
    same_key(wildcards, curve(PLAN, cell_of(wildcards)).key)
    return canonical_json(PLAN.config[wildcards.probe])


def curve_files(wildcards):
    return [found.path for found in curves(PLAN, wildcards.dataset)]


def all_curve_files(wildcards):
    return [found.path for found in all_curves(PLAN)]


def all_labels(wildcards):
    return [
        f"{PLAN.label_folder(dataset)}/{name}"
        for dataset in PLAN.config["dataset"]
        for name in ("adapters.parquet", "manifest.json")
    ]


def scaling_stamp(wildcards):
    return f"{NAMED}/scaling/.study/{scaling_key(PLAN)}"


def scaling_results(wildcards):
    """The curves, and what is behind them: snakemake does not miss a file behind one that is up to date."""
    if not all_curves(PLAN):
        raise WorkflowError(
            "config: scaling.fractions is empty; set shares of the training part, such as [0.1, 0.2, 0.5, 1]"
        )
    folder = f"{NAMED}/scaling"
    return [
        f"{folder}/sizes.parquet",
        f"{folder}/sizes.svg",
        scaling_stamp(wildcards),
        *all_curve_files(wildcards),
    ]


def label_tables(wildcards):
    folder = PLAN.label_folder(wildcards.dataset)
    return [f"{folder}/adapters.parquet", f"{folder}/manifest.json"]


def study_key(wildcards):
    return PLAN.study_key(wildcards.dataset)


def study_stamp(wildcards):
    return PLAN.stamp(wildcards.dataset)


def study_config(wildcards):
    dataset = wildcards.dataset
    return canonical_json(
        {
            **CONFIG,
            "datasets": {dataset: PLAN.settings(dataset)},
            "dataset": [dataset],
        }
    )


def unusable_of(wildcards):
    return f"lorascope: error: {PLAN.unusable(wildcards.dataset)}"


def in_place_of(datasets):
    """Return what fails in the place of data sets that cannot be used, so that the run says so and the others go on.

    Where nothing that was asked for can be made, it is refused before anything runs.
    """
    unusable = [name for name in datasets if PLAN.unusable(name)]
    if unusable and not any(map(is_possible, workflow.dag_settings.targets or [""])):
        raise LorascopeError(" | ".join(map(PLAN.unusable, unusable)))
    return [f"{RESULTS}/{name}/unusable" for name in unusable]


def is_possible(target):
    """Tell whether something of a target can be made; names that stand for all data sets need one of them."""
    if target in PLAN.config["datasets"]:
        return not PLAN.unusable(target)
    return bool(PLAN.config["dataset"]) or target not in {"", *OF_ALL_DATASETS}


OF_ALL_DATASETS = {
    "report",
    "summary",
    "features",
    "importance",
    "scaling",
    *REPRESENTATIONS,
}


def of_all_datasets(files):
    """Return an input function: files of all data sets, and what fails in the place of those left out."""
    return lambda wildcards: [*in_place_of(PLAN.left_out), *files(wildcards)]


def results_of(representation):
    """Return an input function: the results of one representation on all data sets of the study."""

    def results(wildcards):
        if not any(reads(probe, representation) for probe in PLAN.config["probes"]):
            raise WorkflowError(
                f"none of the probes reads {representation}; see config.yaml"
            )
        return [
            path
            for dataset in PLAN.config["dataset"]
            for path in PLAN.cell_files(dataset, [representation])
        ]

    return of_all_datasets(results)


def results_with(finals, datasets=[*PLAN.config["dataset"], *PLAN.left_out]):
    """Return an input function: final files of some data sets, and what is behind them.

    Stamp and cells stand beside it because snakemake does not miss a file behind one that is up to date.
    """
    return lambda wildcards: in_place_of(datasets) + [
        path
        for dataset in datasets
        if not PLAN.unusable(dataset)
        for path in [
            *[PLAN.named(dataset, final) for final in finals],
            PLAN.stamp(dataset),
            *PLAN.cell_files(dataset),
            *PLAN.analysis_files(dataset),
        ]
    ]


def study_analyses(wildcards):
    return [
        path
        for dataset in PLAN.config["dataset"]
        for path in PLAN.analysis_files(dataset)
    ]


def all_features(wildcards):
    return [
        path
        for dataset in PLAN.config["dataset"]
        for cell in PLAN.cells(dataset)
        for path in cell.features
    ]


def image_settings(wildcards):
    same_key(wildcards, SPARSE.images_key)
    return canonical_json(SPARSE.image_settings)


def prepared_images(wildcards):
    return ancient(f"{SPARSE.images}/manifest.json")


def sparse_settings(wildcards):
    same_key(wildcards, SPARSE.run_key(wildcards.gate))
    return canonical_json(SPARSE.run_settings(wildcards.gate))


def sparse_files(wildcards):
    return SPARSE.run_files


def sparse_stamp(wildcards):
    return SPARSE.stamp


def sparse_results(wildcards):
    """The page, and what is behind it: snakemake does not miss a file behind one that is up to date."""
    return [SPARSE.page, SPARSE.stamp, *SPARSE.run_files]
