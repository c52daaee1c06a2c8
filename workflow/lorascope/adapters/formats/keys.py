"""Key names: which module a tensor belongs to, which part of it the tensor is, and who writes such names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

DIFFUSERS, DIFFUSERS_OLD, PEFT, KOHYA, LOHA, LOKR, MLX, XLABS, MISTRAL = (
    "diffusers",
    "diffusers (old)",
    "PEFT",
    "kohya-ss",
    "LoHa",
    "LoKr",
    "MLX",
    "XLabs",
    "mistral-finetune",
)
MAGNITUDE = "magnitude"
"""Role of DoRA's column norms."""
EMBEDDING, _BIAS = "LoRA of an embedding", "bias of a LoRA"

_SIDES = {"A": "down", "B": "up", "a": "down", "b": "up", "down": "down", "up": "up"}
_LORA = re.compile(
    r"""(?P<spelling>
        \.lora\.(?=down|up)                 # diffusers
      | \.lora_linear_layer\.               # diffusers, text encoders
      | _lora\.                             # old diffusers: processor.to_q_lora.down.weight
      | \.lora_                             # PEFT: lora_A, kohya-ss: lora_down
    )(?P<side>A|B|down|up)
    (?:\.(?!weight|alpha|bias)[A-Za-z]\w*)?  # PEFT: the adapter's name
    (?:\.weight)?(?P<alpha>\.alpha)?$       # diffusers' converter hangs alpha onto the name of a matrix
    """,
    re.VERBOSE,
)
_XLABS = re.compile(r"(?P<stem>.*\.processor\.(?:qkv|proj)_lora[12]?)\.(?P<side>down|up)\.weight$")
_MLX = re.compile(r"\.lora_(?P<side>[ab])$")
_MISTRAL = re.compile(r"(^|\.)layers\.\d+\.(attention\.w[qkvo]|feed_forward\.w[123])$")
_MAGNITUDE = re.compile(
    r"(?:\.lora)?\.(?:dora_scale|lora_magnitude_vector|lora_magnitude|magnitude|(?:lokr|hada)_dora_scale)"
    r"(?:\.(?!weight)[A-Za-z]\w*)?(?:\.weight)?$"
)
_OTHER = re.compile(
    r"\.(?P<role>lora_mid(?=\.weight)|alpha|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))"
    r"(?:\.weight)?$"
)
_FAMILY_OF_SPELLING = {".lora.": DIFFUSERS, ".lora_linear_layer.": DIFFUSERS, "_lora.": DIFFUSERS_OLD}

# A file with any of these is refused: what else it holds does not say what the adapter does. The first
# pattern that is found in a key tells the family.
_REFUSED = (
    (r"\.(a1|a2|b1|b2|bm1|bm2)\.weight$", "GLoRA", "its ΔW depends on the base model's weights"),
    (r"(^|\.)b?oft_|\.oft_diag", "OFT", "it multiplies the base model's weights"),
    (r"\.(on_input|ia3_l)", "(IA)³", "it multiplies the base model's weights"),
    (r"\.lambda_layer", "T-LoRA", "its ΔW depends on the time step"),
    (r"vera_(lambda|A|B)", "VeRA", "its factors are shared random matrices"),
    (r"^(unet|text_encoder):\d+:(up|down)", "cloneofsimo's LoRA", "it numbers layers and names none"),
)  # fmt: skip

# What a file may train beside the LoRA, by name.
_BESIDE = (
    (r"\.lora_embedding_[AB]", EMBEDDING),
    (r"(lora|hada|lokr).*\.bias$", _BIAS),
    (r"trainable_tokens", "changed tokens"),
    (r"(^|\.)(emb_params|string_to_param|bundle_emb)|^<", "learned token"),
    (r"\.diff$", "whole difference of a weight"),
    (r"\.diff_b$", "difference of a bias"),
    (r"(\.[wb]_norm|[nN]orm\w*\.(weight|bias|scale))$", "normalisation"),
    (r"(^|\.)(score|classifier|lm_head|head|pooler|proj_out|output)\.", "head"),
    (r"embed|wte|wpe|shared", "embedding"),
    (r"\.bias$", "bias"),
    (r"(\.weight|\.alpha|\.scale)$", "whole weight"),
)  # fmt: skip
_PREFIX = re.compile(r"^lora_(unet|te\d?|transformer|prior_unet)_+")
_LOOKS_LIKE_AN_ADAPTER = re.compile(r"lora|loha|hada|lokr|dora", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One tensor of a module: ``stem`` names the module as the file does, ``role`` the tensor's part."""

    stem: str
    role: str
    family: str | None


@dataclass(frozen=True)
class Beside:
    """One tensor that a file holds beside its ΔW.

    Attributes:
        key: its name.
        kind: what it trains, in words.
        shape: of the tensor.
        bytes: that it takes.
    """

    key: str
    kind: str
    shape: tuple[int, ...]
    bytes: int


def parse_key(key: str) -> Part | None:
    """Return what the tensor ``key`` is; None if no supported family has such a name.

    Roles: ``down``, ``up``, ``lora_mid``, ``alpha``, ``magnitude`` (DoRA), ``hada_*`` (LoHa) and ``lokr_*``
    (LoKr). An alpha or a magnitude alone does not tell the family.
    """
    if match := _XLABS.match(key):
        return Part(match["stem"], _SIDES[match["side"]], XLABS)
    if match := _MAGNITUDE.search(key):
        return Part(key[: match.start()], MAGNITUDE, None)
    if match := _MLX.search(key):
        return Part(key[: match.start()], _SIDES[match["side"]], MLX)
    if match := _LORA.search(key):
        stem = key[: match.start()]
        if match["alpha"]:
            return Part(stem, "alpha", None)
        return Part(stem, _SIDES[match["side"]], _lora_family(key, stem, match["spelling"], match["side"]))
    if match := _OTHER.search(key):
        role = match["role"]
        family = {"hada": LOHA, "lokr": LOKR, "lora": KOHYA}.get(role[:4])
        return Part(key[: match.start()].removesuffix(".lora"), role, family)
    return None


def _lora_family(key: str, stem: str, spelling: str, side: str) -> str:
    if family := _FAMILY_OF_SPELLING.get(spelling):
        return family
    if side in ("down", "up"):
        return KOHYA
    if _MISTRAL.search(stem):
        return MISTRAL
    return PEFT if key.startswith("base_model.") else DIFFUSERS


def beside(key: str) -> str | None:
    """Return what a tensor trains that is no part of a ΔW, in words; None if its file must be refused."""
    if any(re.search(pattern, key) for pattern, _, _ in _REFUSED):
        return None
    name = _PREFIX.sub("", key)
    kind = next((kind for pattern, kind in _BESIDE if re.search(pattern, name)), None)
    # A tensor of a family that nobody here knows must not pass for a bias.
    strange = kind not in (EMBEDDING, _BIAS) and _LOOKS_LIKE_AN_ADAPTER.search(name)
    return None if strange else kind


def refused_layers(keys: Iterable[str]) -> int:
    """Return how many modules of a file belong to a family that is known but not read."""
    stems = set()
    for key in keys:
        found = (match for pattern, _, _ in _REFUSED if (match := re.search(pattern, key)))
        if (match := next(found, None)) and (stem := key[: match.start()]):
            stems.add(stem)
    return len(stems)


def refusal(key: str) -> str:
    """Return why a file with the tensor ``key`` is not read: the family's name and one reason."""
    for pattern, family, reason in _REFUSED:
        if re.search(pattern, key):
            return f"{family} is not supported: {reason}"
    if kind := beside(key):
        return f"no LoRA: '{key[:120]}' is a {kind}; it has no factors"
    return f"an unknown family: '{key[:120]}' names no part of a LoRA, LoHa or LoKr"
