"""Names of modules as files spell them: prefixes of trainers and loaders, and a form without dots.

Trainers write ``_`` for the dots of a path, and no word list can undo that. So names are compared in the form
in which they all lose: ``_`` for every dot, ``{}`` for every whole number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# In Cosmos 1.0 a block's number is glued to its name.
_NUMBER = re.compile(r"(?<![^_])(block)?(\d{1,5})(?![^_])")
Numbers = tuple[int, ...]

DENOISER, TEXT, ANY = "denoiser", "text", "any"


def key_of(name: str) -> tuple[str, Numbers]:
    """Return the form of a module's name that all spellings share, and the whole numbers in it."""
    flat = name.replace(".", "_")
    numbers = tuple(int(match[2]) for match in _NUMBER.finditer(flat))
    return _NUMBER.sub(lambda match: (match[1] or "") + "{}", flat), numbers


@dataclass(frozen=True)
class Spelled:
    """One way to take a module's name apart.

    Attributes:
        kind: ``denoiser``, ``text`` (a text encoder) or ``any`` (the file does not say).
        component: the model of a pipeline as the file calls it (``unet``, ``text_encoder_2``, …); "" if not.
        name: the module's name inside its model.
    """

    kind: str
    component: str
    name: str

    @cached_property
    def _key(self) -> tuple[str, Numbers]:
        return key_of(self.name)

    @property
    def key(self) -> str:
        """The name in the form that all spellings share."""
        return self._key[0]

    @property
    def numbers(self) -> Numbers:
        """The whole numbers in the name."""
        return self._key[1]

    @property
    def flat(self) -> str:
        """The name without dots."""
        return self.name.replace(".", "_")


_TEXT_ENCODERS = {
    "clip_l": "text_encoder", "clip_g": "text_encoder_2", "clip_h": "text_encoder", "t5xxl": "text_encoder_3",
}  # fmt: skip
_PEFT = r"(?:base_model\.model\.)?"
_PREFIXES: tuple[tuple[str, str, re.Pattern], ...] = tuple(
    (kind, component, re.compile(pattern))
    for kind, component, pattern in (
        (TEXT, "", r"lora_te(?P<number>\d?)_"),
        (TEXT, "", rf"{_PEFT}text_encoder(?:_(?P<number>\d))?\.{_PEFT}"),
        (TEXT, "", r"(?:cond_stage_model\.)?text_encoders\.(?P<encoder>\w+)\.(?:transformer\.)?"),
        (DENOISER, "unet", r"lora_unet__?"),
        (DENOISER, "unet", r"lora_prior_unet_"),
        (DENOISER, "transformer", r"lora_transformer_"),
        (ANY, "", r"lycoris_"),
        (DENOISER, "unet", rf"{_PEFT}unet\.{_PEFT}"),
        (DENOISER, "transformer", rf"{_PEFT}transformer\.{_PEFT}"),
        (DENOISER, "transformer", rf"{_PEFT}(?:model\.)?diffusion_model\.{_PEFT}"),
        (DENOISER, "transformer", rf"{_PEFT}net\.{_PEFT}"),
        (ANY, "", r"base_model\.model\."),
        (ANY, "", r""),
    )
)
_OLD_TEXT = re.compile(r"(self_attn[._])to_(?:([qkv])|out(?:[._]0)?)$")


def spellings(stem: str) -> Iterator[Spelled]:
    """Yield the ways to read a module's name, the longest prefix of a pipeline first.

    A name may begin like a prefix: GPT-2's own path starts with ``transformer.``.
    """
    for kind, component, pattern in _PREFIXES:
        if (match := pattern.match(stem)) is None:
            continue
        name = _plain(stem[match.end() :])
        if kind == TEXT:
            yield Spelled(kind, _text_component(match.groupdict()), _OLD_TEXT.sub(_text_projection, name))
            return
        yield Spelled(kind, component, name)
        if name.endswith(".to_out"):
            # Old attention processors left the number of the only layer out.
            yield Spelled(kind, component, f"{name}.0")


def _text_component(groups: dict[str, str | None]) -> str:
    if encoder := groups.get("encoder"):
        return _TEXT_ENCODERS.get(encoder, "text_encoder")
    number = groups.get("number")
    return f"text_encoder_{number}" if number and number != "1" else "text_encoder"


def _text_projection(match: re.Match) -> str:
    """Old diffusers calls a text encoder's projections as the UNet's."""
    return f"{match[1]}{match[2]}_proj" if match[2] else f"{match[1]}out_proj"


def _plain(name: str) -> str:
    """Undo what attention processors and adapters of old put between a module and its name."""
    return name.replace(".processor.to_", ".to_")
