"""Features of single adapter files, by the extraction that the study itself ran."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.names import MatrixInfo
from lorascope.errors import LorascopeError
from lorascope.features.extract import FeatureFile, extract
from lorascope.features.file_weights import FileWeights, FittedFile, fit_file, read_layout
from lorascope.features.layers import extract_layers
from lorascope.features.read import matrix_of, read_features
from lorascope.features.registry import is_layered, parts
from lorascope.study.finished import FinishedStudy


def layer_of(column: str) -> str:
    """Return the layer that a feature column belongs to."""
    return matrix_of(column).rpartition(".")[0]


def fit_files(
    study: FinishedStudy, adapters: Sequence[AdapterFile], layers: Sequence[str]
) -> list[FittedFile]:
    """Bring files into the layout of the study's data set, as far as the layers go."""
    matrices = [matrix for group in _layout(study).values() for matrix in group]
    wanted, known = set(layers), {matrix.layer for matrix in matrices}
    return [fit_file(adapter, [m for m in matrices if m.layer in wanted], known) for adapter in adapters]


def file_features(
    study: FinishedStudy, representation: str, columns: Sequence[str], files: Sequence[FittedFile]
) -> np.ndarray:
    """Return the features of some files, float32 [files, columns].

    Args:
        study: tells layer groups and fits.
        representation: what to compute.
        columns: feature columns of the probe; they also say which layers.
        files: in the layout of the study's data set.

    Raises:
        LorascopeError: the installed lorascope computes other columns than the probe was trained on.
    """
    layers = set(map(layer_of, columns))
    layout = {
        group: [matrix for matrix in matrices if matrix.layer in layers]
        for group, matrices in _layout(study).items()
    }
    with TemporaryDirectory() as folder:
        paths = [
            _extract(study, part, group, FileWeights(matrices, files), Path(folder))
            for part in parts(representation)
            for group, matrices in layout.items()
            if matrices
        ]
        values, found = read_features(paths)
    if found != list(columns):
        raise LorascopeError(
            f"{study.folder}: '{representation}' has other features in this version of lorascope; "
            "run the study again"
        )
    return values


def _layout(study: FinishedStudy) -> dict[str, list[MatrixInfo]]:
    return read_layout(study.data_folder / "layers.parquet")


def _extract(study: FinishedStudy, part: str, group: str, weights: FileWeights, folder: Path) -> Path:
    path = folder / f"{part}.{group}.parquet"
    if is_layered(part):
        extract_layers(weights, part, path, study.fit_file(part, group))
    else:
        extract(weights, [FeatureFile(part, path)])
    return path
