"""ΔW of one module as a product of two thin matrices: LoRA, convolutions, LoHa and LoKr, without ΔW itself.

Everything here leaves out the scale (alpha / rank). A convolution's kernel is flattened into d_in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from lorascope.adapters.formats.keys import LOHA, LOKR

Shapes = Mapping[str, tuple[int, ...]]
Read = Callable[[str], np.ndarray]


class PartsError(ValueError):
    """The tensors of a module do not make up a ΔW."""


@dataclass(frozen=True)
class Sizes:
    """What the parts of a module multiply out to.

    Attributes:
        d_out, d_in: shape of ΔW.
        dim: the network dimension that alpha is divided by; None where no scale applies (LoKr of two
            whole factors).
        rank: columns of the factor form: ``dim`` for LoRA, up to dim² for LoHa.
        kernel: spatial shape of a convolution; () for a projection.
    """

    d_out: int
    d_in: int
    dim: int | None
    rank: int
    kernel: tuple[int, ...] = ()


def sizes_of(family: str, shapes: Shapes) -> Sizes:
    """Check that the parts fit together and return what they make up.

    Raises:
        PartsError: a part is missing, is no part of this family, or has the wrong shape.
    """
    shapes = {role: shape for role, shape in shapes.items() if role != "alpha"}
    sizes = {LOHA: _loha_sizes, LOKR: _lokr_sizes}.get(family, _lora_sizes)(shapes)
    if min(sizes.d_out, sizes.d_in, sizes.rank) < 1:
        raise PartsError("it has an empty tensor")
    return sizes


def factors_of(family: str, read: Read, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Return (down [rank, d_in], up [d_out, rank]) whose product is the unscaled ΔW.

    Args:
        read: role → tensor as float32.
        shapes: role → shape of the parts that are there; :func:`sizes_of` has accepted them.
    """
    down, up = {LOHA: _loha, LOKR: _lokr}.get(family, lora_factors)(read, shapes)
    return no_wider_than_needed(down, up)


def _take(shapes: Shapes, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if missing := [role for role in required if role not in shapes]:
        raise PartsError(f"it lacks {' and '.join(missing)}")
    if strange := sorted(set(shapes) - {*required, *optional}):
        raise PartsError(f"it has {' and '.join(strange)} beside {' and '.join(required)}")


def _flat(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tensor whose kernel is flattened into the columns."""
    if len(shape) < 2:
        raise PartsError(f"a tensor has shape {list(shape)}; expected a matrix or a convolution")
    return shape[0], prod(shape[1:])


def _agree(left: int, right: int, what: str) -> None:
    if left != right:
        raise PartsError(f"{what}: {left} and {right} do not agree")


def _lora_sizes(shapes: Shapes) -> Sizes:
    _take(shapes, ("down", "up"), ("lora_mid",))
    (dim, d_in), (d_out, up_rank) = _flat(shapes["down"]), _flat(shapes["up"])
    _agree(dim, up_rank, "ranks of down and up")
    kernel = shapes["down"][2:]
    if mid := shapes.get("lora_mid"):
        if mid[:2] != (dim, dim) or prod(kernel) != 1:
            raise PartsError(f"lora_mid has shape {list(mid)} beside rank {dim}")
        kernel = mid[2:]
        d_in *= prod(kernel)
    return Sizes(d_out, d_in, dim, _narrowest(dim, d_out, d_in), kernel)


def lora_factors(read: Read, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Return (down, up) of a LoRA; a Tucker core is multiplied into down."""
    down, up = read("down"), read("up")
    down, up = down.reshape(len(down), -1), up.reshape(len(up), -1)
    # up · (mid · down): kohya-ss and LyCORIS put a small convolution between two 1 × 1 ones.
    return (_tucker(read("lora_mid"), down) if "lora_mid" in shapes else down), up


def _tucker(core: np.ndarray, down: np.ndarray) -> np.ndarray:
    """core [p, q, kernel…] · down [q, c_in] → [p, c_in · kernel]."""
    return np.einsum("pqk,qi->pik", core.reshape(*core.shape[:2], -1), down).reshape(len(core), -1)


def _loha_sizes(shapes: Shapes) -> Sizes:
    _take(shapes, ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), ("hada_t1", "hada_t2"))
    _agree("hada_t1" in shapes, "hada_t2" in shapes, "hada_t1 and hada_t2 are both there or both not")
    halves = [_half_sizes(shapes, f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}") for n in (1, 2)]
    for left, right, what in zip(*halves, ("d_out", "d_in", "ranks", "kernels"), strict=True):
        _agree(left, right, f"{what} of the two halves")
    d_out, d_in, dim, kernel = halves[0]
    return Sizes(d_out, d_in, dim, _narrowest(dim * dim, d_out, d_in), kernel)


def _half_sizes(shapes: Shapes, a: str, b: str, core: str) -> tuple[int, int, int, tuple[int, ...]]:
    """d_out, d_in, rank and kernel of a · b; with a Tucker core between them, a is stored transposed."""
    rows, columns = _flat(shapes[a]), _flat(shapes[b])
    if core not in shapes:
        _agree(rows[1], columns[0], f"ranks of {a} and {b}")
        return rows[0], columns[1], rows[1], shapes[b][2:]
    dim, kernel = rows[0], shapes[core][2:]
    if shapes[core][:2] != (dim, columns[0]) or dim != columns[0] or not kernel:
        raise PartsError(f"{core} has shape {list(shapes[core])} beside ranks {dim} and {columns[0]}")
    return rows[1], columns[1] * prod(kernel), dim, kernel


def _half(read: Read, shapes: Shapes, a: str, b: str, core: str) -> tuple[np.ndarray, np.ndarray]:
    """Factors (up, down) of one half."""
    left, right = read(a), read(b)
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    return (left.T, _tucker(read(core), right)) if core in shapes else (left, right)


def loha_halves(read: Read, shapes: Shapes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return factors (up, down) of both halves of a LoHa."""
    return [_half(read, shapes, f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}") for n in (1, 2)]


def _loha(read: Read, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """(U₁D₁) ∘ (U₂D₂): row-wise Kronecker products of the Us, column-wise ones of the Ds."""
    (up1, down1), (up2, down2) = loha_halves(read, shapes)
    if len(down1) * len(down2) >= min(len(up1), down1.shape[1]):
        whole = up1 @ down1
        whole *= up2 @ down2
        return _with_identity(whole)
    up = (up1[:, :, None] * up2[:, None, :]).reshape(len(up1), -1)
    down = (down1[:, None, :] * down2[None, :, :]).reshape(-1, down1.shape[1])
    return down, up


def _lokr_sizes(shapes: Shapes) -> Sizes:
    names = [(f"lokr_w{n}",) if f"lokr_w{n}" in shapes else (f"lokr_w{n}_a", f"lokr_w{n}_b") for n in (1, 2)]
    optional = ("lokr_t2",) if len(names[1]) == 2 else ()
    _take(shapes, (*names[0], *names[1]), optional)
    out1, in1, dim1, kernel1 = _kron_sizes(shapes, names[0], "")
    out2, in2, dim2, kernel = _kron_sizes(shapes, names[1], "lokr_t2")
    if kernel1:
        raise PartsError("lokr_w1 is a convolution; only lokr_w2 can be one")
    if dim1 and dim2:
        _agree(dim1, dim2, "ranks of lokr_w1 and lokr_w2")
    rank = _narrowest(dim1 or out1, out1, in1) * _narrowest(dim2 or out2, out2, in2)
    return Sizes(out1 * out2, in1 * in2, dim2 or dim1, rank, kernel)


def _kron_sizes(
    shapes: Shapes, names: tuple[str, ...], core: str
) -> tuple[int, int, int | None, tuple[int, ...]]:
    if len(names) == 2:
        return _half_sizes(shapes, *names, core)
    rows, columns = _flat(shapes[names[0]])
    return rows, columns, None, shapes[names[0]][2:]


def lokr_halves(read: Read, shapes: Shapes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return factors (down, up) of both halves of a LoKr."""
    halves = []
    for n in (1, 2):
        name = f"lokr_w{n}"
        if name in shapes:
            whole = read(name)
            halves.append(_with_identity(whole.reshape(len(whole), -1)))
        else:
            up, down = _half(read, shapes, f"{name}_a", f"{name}_b", "lokr_t2" if n == 2 else "")
            halves.append(no_wider_than_needed(down, up))
    return halves


def _lokr(read: Read, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """W₁ ⊗ W₂ = (U₁ ⊗ U₂)(D₁ ⊗ D₂)."""
    (down1, up1), (down2, up2) = lokr_halves(read, shapes)
    return np.kron(down1, down2), np.kron(up1, up2)


def _narrowest(rank: int, d_out: int, d_in: int) -> int:
    return min(rank, d_out, d_in)


def no_wider_than_needed(down: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return factors (down, up), those of more columns than ΔW has rows or columns as ΔW and an identity."""
    if len(down) > min(len(up), down.shape[1]):
        return _with_identity(up @ down)
    return down, up


def _with_identity(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors (down, up) of a whole matrix: it and the smaller identity."""
    rows, columns = whole.shape
    if rows <= columns:
        return whole, np.eye(rows, dtype=whole.dtype)
    return np.eye(columns, dtype=whole.dtype), whole
