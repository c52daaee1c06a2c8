"""Controls on a few numbers an adapter: the sizes of its matrices, or the recipe it was trained by."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.controls.parts import Split, answer
from lorascope.data.split import TEST, TRAIN, VALIDATION
from lorascope.files import read_table
from lorascope.passport.metadata import as_features, sort_columns
from lorascope.passport.scan import SIDES
from lorascope.probes.scaling import Scaling

MAJORITY, NORMS, RECIPE, RECIPE_AND_LOSSES = "majority", "norms", "recipe", "recipe_and_losses"
# Which layers there are has no part in these.
NO_LAYERS = ""
# A forest finds what is not linear, whatever the scale: 300 trees no longer change its answer much.
TREES = 300
SEED = 0
# Smaller than any norm that a float32 factor could make matter.
LEAST_NORM = 1e-12


def majority(split: Split) -> dict:
    """Answer with the commonest class of the training part."""
    commonest = np.bincount(split.classes[TRAIN]).argmax()
    right = {part: split.classes[part] == commonest for part in (VALIDATION, TEST)}
    return answer(MAJORITY, NO_LAYERS, right[TEST], right[VALIDATION].mean())


def norms(
    path: str, layer_sets: dict[str, Sequence[str]], split: Split, penalties: list[float]
) -> Iterator[dict]:
    """Answer from the logarithms of ‖A‖, ‖B‖ and ‖ΔW‖ of every layer, one row a layer set."""
    for layer_set, layers in layer_sets.items():
        table = read_table(path, [f"{layer}.{side}" for layer in layers for side in SIDES])
        values = np.stack([column.to_numpy() for column in table.columns], axis=1)
        features = np.log(np.maximum(np.nan_to_num(values), LEAST_NORM))
        yield _best(NORMS, layer_set, features, split, penalties, layers=len(layers))


def recipe(adapters: str, split: Split, penalties: list[float]) -> Iterator[dict]:
    """Answer from the columns of the source's table; nothing where none differs between adapters."""
    table = read_table(adapters)
    metadata = sort_columns(table)
    columns = {RECIPE: metadata.recipe}
    if metadata.outcomes:
        columns[RECIPE_AND_LOSSES] = metadata.recipe + metadata.outcomes
    for name, chosen in columns.items():
        if chosen:
            yield _best(name, NO_LAYERS, as_features(table, chosen), split, penalties)


def _best(control: str, layer_set: str, features: np.ndarray, split: Split, penalties, **more) -> dict:
    """Return the answers of the classifier that is best on the validation part."""
    fitted = {part: features[rows].astype(np.float64) for part, rows in split.rows.items()}
    scaling = Scaling.fit(fitted[TRAIN])
    scaled = {part: scaling.apply(values) for part, values in fitted.items()}
    models = [(name, model.fit(scaled[TRAIN], split.classes[TRAIN])) for name, model in _models(penalties)]
    right = [
        {part: model.predict(scaled[part]) == split.classes[part] for part in (VALIDATION, TEST)}
        for _, model in models
    ]
    best = int(np.argmax([each[VALIDATION].mean() for each in right]))
    return answer(
        control,
        layer_set,
        right[best][TEST],
        right[best][VALIDATION].mean(),
        chosen=models[best][0],
        features=features.shape[1],
        **more,
    )


def _models(penalties: list[float]) -> Iterator[tuple[str, object]]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import RidgeClassifier

    yield "forest", RandomForestClassifier(TREES, random_state=SEED)
    for penalty in penalties:
        yield f"ridge {penalty:g}", RidgeClassifier(alpha=penalty)
