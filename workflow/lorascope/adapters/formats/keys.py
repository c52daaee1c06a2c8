"""Key names: which module a tensor belongs to, which part of it the tensor is, and who writes such names."""

import re
from dataclasses import dataclass

DIFFUSERS, DIFFUSERS_OLD, PEFT, KOHYA, LOHA, LOKR = (
    "diffusers",
    "diffusers (old)",
    "PEFT",
    "kohya-ss",
    "LoHa",
    "LoKr",
)

_SIDES = {"A": "down", "B": "up", "down": "down", "up": "up"}
_LORA = re.compile(
    r"""(?P<spelling>
        \.lora\.(?=down|up)                 # diffusers
      | \.lora_linear_layer\.               # diffusers, text encoders
      | _lora\.                             # old diffusers: processor.to_q_lora.down.weight
      | \.lora_                             # PEFT: lora_A, kohya-ss: lora_down
    )(?P<side>A|B|down|up)
    (?:\.(?!weight|alpha)[A-Za-z]\w*)?      # PEFT: the adapter's name
    (?:\.weight)?(?P<alpha>\.alpha)?$       # diffusers' converter hangs alpha onto the name of a matrix
    """,
    re.VERBOSE,
)
_OTHER = re.compile(
    r"\.(?P<role>lora_mid(?=\.weight)|alpha|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))(?:\.weight)?$"
)
_FAMILY_OF_SPELLING = {".lora.": DIFFUSERS, ".lora_linear_layer.": DIFFUSERS, "_lora.": DIFFUSERS_OLD}

# Told by the first pattern that is found in a key; the order matters.
_REFUSED = (
    (r"\.(dora_scale|lora_magnitude_vector)(\.|$)", "DoRA", "its ΔW depends on the base model's weights"),
    (r"\.lora_embedding_[AB]", "PEFT embedding LoRA", "it adapts a table of tokens, not a projection"),
    (r"\.(a1|a2|b1|b2|bm1|bm2)\.weight$", "GLoRA", "its ΔW depends on the base model's weights"),
    (r"\.(oft_|boft_|oft_blocks|oft_diag)", "OFT", "it multiplies the base model's weights"),
    (r"\.(on_input|ia3_l)", "(IA)³", "it multiplies the base model's weights"),
    (r"\.lambda_layer", "T-LoRA", "its ΔW depends on the time step"),
    (r"\.vera_lambda|^vera_", "VeRA", "its factors are shared random matrices"),
    (r"\.(diff|diff_b)$", "full-weight differences", "it has no factors"),
    (r"\.(w_norm|b_norm)$", "LyCORIS norm weights", "they are no projection"),
    (r"(^|\.)(emb_params|string_to_param|bundle_emb)", "textual inversion", "it holds tokens"),
    (r"(lora|hada|lokr).*\.bias$|\.lora_B.*bias", "LoRA with bias", "its change of the bias has no factors"),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One tensor of a module: ``stem`` names the module as the file does, ``role`` the tensor's part."""

    stem: str
    role: str
    family: str | None


def parse_key(key: str) -> Part | None:
    """Return what the tensor ``key`` is; None if no supported family has such a name.

    Roles: ``down``, ``up``, ``lora_mid``, ``alpha``, ``hada_*`` (LoHa) and ``lokr_*`` (LoKr). An alpha
    alone does not tell the family.
    """
    if match := _LORA.search(key):
        stem = key[: match.start()]
        if match["alpha"]:
            return Part(stem, "alpha", None)
        return Part(stem, _SIDES[match["side"]], _lora_family(key, match["spelling"], match["side"]))
    if match := _OTHER.search(key):
        role = match["role"]
        family = {"hada": LOHA, "lokr": LOKR, "lora": KOHYA}.get(role[:4])
        return Part(key[: match.start()].removesuffix(".lora"), role, family)
    return None


def _lora_family(key: str, spelling: str, side: str) -> str:
    if family := _FAMILY_OF_SPELLING.get(spelling):
        return family
    if side in ("down", "up"):
        return KOHYA
    return PEFT if key.startswith("base_model.") else DIFFUSERS


def refusal(key: str) -> str:
    """Return why a file with the tensor ``key`` is not read: the family's name and one reason."""
    for pattern, family, reason in _REFUSED:
        if re.search(pattern, key):
            return f"{family} is not supported: {reason}"
    return f"an unknown family: '{key[:120]}' names no part of a LoRA, LoHa or LoKr"
