"""Controls that see a representation: permuted labels, and random sets of as many layers."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.adapters.names import DOWN, UP
from lorascope.controls.parts import Split, answer
from lorascope.controls.ridge import inner_products, ridge_answers
from lorascope.data.split import TEST, TRAIN, VALIDATION
from lorascope.features.layers import DELTA
from lorascope.features.read import matrix_of, read_features
from lorascope.features.registry import is_layered

PERMUTED, RANDOM_LAYERS, LAYERS = "permuted", "random_layers", "layers"
SEED = 0


class LayerControls:
    """What ridge answers from a representation.

    Args:
        layer_sets: name → layers; the first is the reference.
        draws: permuted labels, and random sets of layers, for each layer set.
    """

    def __init__(
        self, layer_sets: dict[str, Sequence[str]], split: Split, penalties: list[float], draws: int
    ):
        self.layer_sets, self.split, self.penalties, self.draws = layer_sets, split, penalties, draws
        self.layers = list(dict.fromkeys(layer for layers in layer_sets.values() for layer in layers))
        place = {layer: index for index, layer in enumerate(self.layers)}
        self._sets = {name: np.array([place[layer] for layer in own]) for name, own in layer_sets.items()}

    def answers(self, representation: str, files: Sequence[str], controls: Sequence[str]) -> Iterator[dict]:
        """Yield the answers on every layer set, with true and with permuted labels, and on random sets."""
        features, layer_of = self._read(representation, files)
        plan = [(LAYERS, name, 0, members) for name, members in self._sets.items()]
        if RANDOM_LAYERS in controls:
            plan += self._random_sets()
        sets = [members for *_, members in plan]
        products = inner_products(features, layer_of, sets, self.split)
        for (control, layer_set, draw, members), each in zip(plan, products, strict=True):
            counts = {"layers": len(members), "features": int(np.isin(layer_of, members).sum())}
            names = {"representation": representation, **counts}
            yield self._answer(control, layer_set, each, draw, names)
            if control == LAYERS and PERMUTED in controls:
                yield from self._permuted(layer_set, each, names)

    def _read(self, representation: str, files: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        sides = (DELTA,) if is_layered(representation) else (DOWN, UP)
        place = {f"{layer}.{side}": index for index, layer in enumerate(self.layers) for side in sides}
        features, columns = read_features(files, place)
        return features, np.array([place[matrix_of(column)] for column in columns])

    def _random_sets(self) -> Iterator[tuple[str, str, int, np.ndarray]]:
        """Draw sets as large as each layer set; one that holds all layers has no other of its size."""
        for number, (name, members) in enumerate(self._sets.items()):
            if len(members) < len(self.layers):
                rng = np.random.default_rng([SEED, number])
                for draw in range(self.draws):
                    drawn = rng.choice(len(self.layers), len(members), replace=False)
                    yield RANDOM_LAYERS, name, draw, np.sort(drawn)

    def _answer(self, control: str, layer_set: str, products: dict, draw: int, names: dict) -> dict:
        labels = {part: self.split.classes[part][None] for part in (TRAIN, VALIDATION)}
        right, accuracies, chosen = self._ridge(products, labels)
        return answer(
            control, layer_set, right[0], accuracies[0], draw=draw, chosen=f"ridge {chosen[0]:g}", **names
        )

    def _permuted(self, layer_set: str, products: dict, names: dict) -> Iterator[dict]:
        """Deal the labels of the training and of the validation part out at random, each within its part."""
        rngs = [np.random.default_rng([SEED, draw]) for draw in range(self.draws)]
        labels = {
            part: np.stack([rng.permutation(self.split.classes[part]) for rng in rngs])
            for part in (TRAIN, VALIDATION)
        }
        right, accuracies, chosen = self._ridge(products, labels)
        for draw in range(self.draws):
            model = f"ridge {chosen[draw]:g}"
            yield answer(PERMUTED, layer_set, right[draw], accuracies[draw], draw=draw, chosen=model, **names)

    def _ridge(self, products: dict, labels: dict):
        return ridge_answers(products, labels, self.split.classes[TEST], self.split.n_classes, self.penalties)
