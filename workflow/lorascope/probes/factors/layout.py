"""From the columns of the representation ``factors`` to tensors that a network can multiply."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lorascope.errors import LorascopeError
from lorascope.features.read import matrix_of
from lorascope.probes.scaling import Scaling


class Factors(NamedTuple):
    """Factors of ``n`` adapters; layers of the same height are one tensor.

    Attributes:
        lefts, rights: [n, layers of that height, height, components] each, in units of 1 / √height: the
            entries of a single component are about 1 in size, whatever the height.
        sizes: standardised log ‖ΔW‖, [n, layers].
    """

    lefts: tuple[Tensor, ...]
    rights: tuple[Tensor, ...]
    sizes: Tensor

    def rows(self, chosen: Tensor) -> "Factors":
        """Return the adapters at ``chosen`` [..., m]: every tensor then begins with the shape of it."""
        return Factors(
            tuple(x[chosen] for x in self.lefts), tuple(x[chosen] for x in self.rights), self.sizes[chosen]
        )

    def to(self, device: str) -> "Factors":
        """Return the factors on a device."""
        return Factors(
            tuple(x.to(device) for x in self.lefts),
            tuple(x.to(device) for x in self.rights),
            self.sizes.to(device),
        )


@dataclass(frozen=True)
class Side:
    """One side, left or right, of all layers.

    Attributes:
        heights: of each group of layers.
        counts: number of layers in each group.
        order: where each layer stands when the groups are put one after the other, in order of the layers.
    """

    heights: tuple[int, ...]
    counts: tuple[int, ...]
    order: tuple[int, ...]
    _columns: tuple[np.ndarray, ...]
    _components: int

    @classmethod
    def of(cls, places: Sequence[np.ndarray], components: int) -> "Side":
        """Group layers by height; ``places`` [height, components] are the columns of each layer."""
        heights = [len(place) for place in places]
        groups = {
            height: [i for i, h in enumerate(heights) if h == height] for height in dict.fromkeys(heights)
        }
        grouped = [layer for members in groups.values() for layer in members]
        columns = tuple(
            np.stack([_padded(places[layer], components) for layer in members]) for members in groups.values()
        )
        counts = tuple(map(len, groups.values()))
        return cls(tuple(groups), counts, tuple(np.argsort(grouped).tolist()), columns, components)

    def tensors(self, features: np.ndarray) -> tuple[Tensor, ...]:
        """Pick this side out of features [n, columns], in units of 1 / √height."""
        # A column of zeros at the end is where absent components point to.
        extended = np.pad(features, ((0, 0), (0, 1)))
        return tuple(
            torch.from_numpy(extended[:, columns] * np.float32(height**0.5))
            for height, columns in zip(self.heights, self._columns, strict=True)
        )


def _padded(place: np.ndarray, components: int) -> np.ndarray:
    return np.pad(place, ((0, 0), (0, components - place.shape[1])), constant_values=-1)


@dataclass(frozen=True)
class Layout:
    """Where the factors of each layer stand among the features.

    Attributes:
        n_layers, components: number of layers, and the most components that a layer has.
        left, right: the two sides.
        sizes: columns of log ‖ΔW‖.
    """

    n_layers: int
    components: int
    left: Side
    right: Side
    sizes: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[str]) -> "Layout":
        """Read the names of the features.

        Raises:
            LorascopeError: they are not those of the representation ``factors``.
        """
        layers = [list(group) for _, group in groupby(range(len(columns)), lambda i: matrix_of(columns[i]))]
        names = [column.rpartition("/")[2] for column in columns]
        found = [{side: _places(names, layer, side) for side in ("left", "right")} for layer in layers]
        sizes = [i for i, name in enumerate(names) if name == "log_norm"]
        complete = all(len(place) for sides in found for place in sides.values())
        if not (layers and complete and len(sizes) == len(layers)):
            raise LorascopeError(
                "features are not factors of updates; give this probe the representation factors"
            )
        components = max(place.shape[1] for sides in found for place in sides.values())
        left, right = (Side.of([sides[side] for sides in found], components) for side in ("left", "right"))
        return cls(len(layers), components, left, right, np.array(sizes))

    def fit_sizes(self, features: np.ndarray) -> Scaling:
        """Measure mean and spread of log ‖ΔW‖ of every layer, on features [n, columns]."""
        return Scaling.fit(features[:, self.sizes])

    def factors(self, features: np.ndarray, scaling: Scaling) -> Factors:
        """Return the factors that features [n, columns] hold; ``scaling`` is :meth:`fit_sizes` of others."""
        return Factors(
            self.left.tensors(features),
            self.right.tensors(features),
            torch.from_numpy(scaling.apply(features[:, self.sizes])),
        )


def _places(names: Sequence[str], layer: Sequence[int], side: str) -> np.ndarray:
    """Return the columns of one side of a layer, [height, components]."""
    places = [i for i in layer if names[i].startswith(f"{side}_")]
    if not places:
        return np.empty((0, 0), int)
    return np.array(places).reshape(-1, int(names[places[-1]].rpartition("_")[2]))
