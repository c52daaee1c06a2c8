"""The layers of a model that adapters can change, from the class itself on torch's ``meta`` device."""

import re
from dataclasses import dataclass
from math import prod

import diffusers
import torch
import transformers

from lorascope.adapters.atlas.maker.models import DIFFUSION, LANGUAGE, NO_CLASS, TEXT_ENCODER, Model
from lorascope.adapters.atlas.maker.roles import role_of


@dataclass(frozen=True)
class Found:
    """One layer: canonical path, kind of its weight, sizes and role.

    Attributes:
        kind: ``l`` linear, ``t`` linear with a transposed weight (GPT-2), ``c3x3`` a convolution.
        d_in: with a convolution's kernel counted in.
    """

    path: str
    kind: str
    d_out: int
    d_in: int
    role: str


def layers_of(model: Model) -> list[Found]:
    """Build a model without weights and list its linear layers and convolutions."""
    if model.cls.startswith(NO_CLASS):
        return []
    with torch.device("meta"):
        built = _build(model)
    found = []
    for name, module in built.named_modules():
        if (kind := _kind(module)) is None:
            continue
        shape = tuple(module.weight.shape)
        d_out, d_in = (shape[1], shape[0]) if kind == "t" else (shape[0], prod(shape[1:]))
        path = _canonical(model, name)
        found.append(Found(path, kind, d_out, d_in, role_of(model.cls, name, model.kind == TEXT_ENCODER)))
    return found


def _build(model: Model) -> torch.nn.Module:
    if model.kind == DIFFUSION:
        return getattr(diffusers, model.cls)(**model.arguments)
    cls = getattr(transformers, model.cls)
    return cls(cls.config_class(**model.arguments))


def _kind(module: torch.nn.Module) -> str | None:
    weight = getattr(module, "weight", None)
    name = type(module).__name__
    if (
        not isinstance(weight, torch.nn.Parameter)
        or weight.dim() < 2
        or re.search("Gate|Router|Embedding", name)
    ):
        return None
    if name == "Conv1D":
        return "t"
    return "l" if weight.dim() == 2 else "c" + "x".join(map(str, weight.shape[2:]))


def _canonical(model: Model, name: str) -> str:
    if model.cls.startswith("CLIPTextModel") and not name.startswith(("text_model.", "text_projection")):
        # Since its version 5, transformers leaves the name of the inner model out.
        return f"text_model.{name}"
    return name


def is_open(model: Model) -> bool:
    """Return whether widths and depths of the model vary."""
    return model.kind == LANGUAGE
