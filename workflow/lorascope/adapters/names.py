"""Names of matrices: from the spellings in the wild to one canonical layer path and a side."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lorascope.errors import LorascopeError

DOWN, UP = "down", "up"

_PREFIX = re.compile(r"^(?:base_model\.model\.)?(?:unet\.)?")
_SUFFIX = re.compile(
    r"""(?:
        \.lora\.(?P<diffusers>down|up)\.weight              # diffusers: to_q.lora.down.weight
      | \.lora_(?P<peft>A|B)(?:\.default)?\.weight          # PEFT: to_q.lora_A.weight
      | _lora\.(?P<processor>down|up)\.weight               # old diffusers: processor.to_q_lora.down.weight
    )$""",
    re.VERBOSE,
)
_SIDES = {"down": DOWN, "A": DOWN, "up": UP, "B": UP}
_ATTENTION = re.compile(r"(?:^|\.)(attn[12])(?:\.|$)")
_BLOCK = re.compile(r"^(?:down_blocks\.\d+|up_blocks\.\d+|mid_block)(?=\.)")


@dataclass(frozen=True)
class MatrixInfo:
    """One factor of one layer: A (side ``down``, rank × d_in) or B (side ``up``, d_out × rank).

    Attributes:
        column: the name in the source.
        layer: canonical layer path, as in diffusers' ``UNet2DConditionModel``.
        side: ``down`` or ``up``.
        rows, cols: shape of the matrix.
    """

    column: str
    layer: str
    side: str
    rows: int
    cols: int

    @property
    def name(self) -> str:
        """Canonical name: feature columns start with it."""
        return f"{self.layer}.{self.side}"

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.rows * self.cols


def parse_matrix_name(column: str) -> tuple[str, str] | None:
    """Return (canonical layer path, side), or None if ``column`` does not name a LoRA matrix."""
    match = _SUFFIX.search(column)
    if match is None:
        return None
    side = _SIDES[match["diffusers"] or match["peft"] or match["processor"]]
    return canonical_path(column[: match.start()]), side


def canonical_path(stem: str) -> str:
    """Return the layer path for a module as diffusers (old, new) or PEFT spells it."""
    layer = _PREFIX.sub("", stem).replace(".processor.", ".")
    return layer.removesuffix(".to_out") + ".to_out.0" if layer.endswith(".to_out") else layer


def attention_of(layer: str) -> str | None:
    """Return ``attn1`` (self-attention), ``attn2`` (cross-attention), or None for other layers."""
    match = _ATTENTION.search(layer)
    return match[1] if match else None


def block_of(layer: str) -> str:
    """Return the UNet block: ``down_blocks.<i>``, ``mid_block`` or ``up_blocks.<i>``; ``other`` elsewhere."""
    match = _BLOCK.match(layer)
    return match[0] if match else "other"


def projection_of(layer: str) -> str:
    """Return the projection inside the attention, e.g. ``to_q`` or ``to_out.0``."""
    match = _ATTENTION.search(layer)
    return layer[match.end() :] if match else layer.rsplit(".", 1)[-1]


def check_layers(layers: Mapping[str, str], where: str) -> None:
    """Check that there are layers and that each belongs to an attention.

    Args:
        layers: column → layer.
        where: names the data set in messages.

    Raises:
        LorascopeError: no layer at all, or layers that are neither attn1 nor attn2.
    """
    if not layers:
        raise LorascopeError(
            f"{where}: no column names a LoRA matrix; expected e.g. '….attn1.to_q.lora.down.weight'"
        )
    if strangers := [column for column, layer in layers.items() if attention_of(layer) is None]:
        raise LorascopeError(f"{where}: neither attn1 nor attn2: {_some(strangers)}; remove these columns")


def check_matrices(matrices: list[MatrixInfo], where: str) -> None:
    """Check that the matrices make up whole attention layers.

    Raises:
        LorascopeError: no matrix at all, a layer that is neither attn1 nor attn2, a layer without
            its second factor, or two factors whose ranks differ.
    """
    check_layers({matrix.column: matrix.layer for matrix in matrices}, where)
    by_name = {matrix.name: matrix for matrix in matrices}
    if len(by_name) < len(matrices):
        names = [matrix.name for matrix in matrices]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise LorascopeError(f"{where}: two columns for one matrix: {_some(repeated)}")
    for layer in {matrix.layer: None for matrix in matrices}:
        down, up = by_name.get(f"{layer}.{DOWN}"), by_name.get(f"{layer}.{UP}")
        if down is None or up is None:
            raise LorascopeError(
                f"{where}: layer {layer} lacks its {'down' if down is None else 'up'} matrix"
            )
        if down.rows != up.cols:
            raise LorascopeError(
                f"{where}: layer {layer}: down has rank {down.rows}, up has rank {up.cols}; they must agree"
            )


def _some(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
