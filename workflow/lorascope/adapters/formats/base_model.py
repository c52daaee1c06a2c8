"""Which base model an adapter was trained on: names and sizes decide, the header chooses among what fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.adapters.atlas.identify import LANGUAGE, Identity, base_model, narrowed
from lorascope.adapters.atlas.reader import architecture
from lorascope.adapters.formats.text import plain

_SAID_IN_HEADER = ("ss_base_model_version", "modelspec.architecture", "ss_sd_model_name", "ss_base_model")


@dataclass(frozen=True)
class BaseModel:
    """What is known of the base.

    Attributes:
        name: what a card shows; None if unknown.
        models: those of the atlas that it may be.
        notes: the nearest model and what speaks against it, where none fits.
    """

    name: str | None
    models: tuple[str, ...]
    notes: tuple[str, ...] = ()


def base_model_of(identity: Identity, metadata: Mapping[str, str], configs: Sequence[Any]) -> BaseModel:
    """Return the base model of a file.

    Names and sizes come first: what trainers write into the header is often the wrong default. A language
    model's family has its sizes open: there the configuration names the model.
    """
    said = _said(metadata, configs)
    if models := identity.models:
        if all(architecture(name).kind == LANGUAGE for name in models):
            named = next((config.base_model for config in configs if config.base_model), None)
            return BaseModel(plain(named, 80) if named else base_model(models), models)
        models = narrowed(models, said)
        return BaseModel(base_model(models), models)
    notes = []
    far = identity.nearest is None or architecture(identity.nearest).kind == LANGUAGE
    named = next((config.base_model for config in configs if config.base_model), None)
    if far and named:
        return BaseModel(
            plain(named, 80), (), ("the base model is the configuration's: no known network fits",)
        )
    if identity.nearest:
        name = architecture(identity.nearest).name
        notes.append(f"base model unknown; the nearest is {name}, but {plain(identity.against, 160)}")
    if said:
        notes.append(f"the file names {plain(said[0], 80)} as its base model, which its layers do not tell")
    return BaseModel(None, (), tuple(notes))


def _said(metadata: Mapping[str, str], configs: Sequence[Any]) -> list[str]:
    said = [metadata.get(name) for name in _SAID_IN_HEADER] + [config.base_model for config in configs]
    return [text for text in said if text and text != "None"]
