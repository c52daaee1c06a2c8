"""Which model of the atlas a file's modules belong to, and which layers they are.

Every name is looked up; the models that have all of them in these sizes fit. If a file adapts all layers of
its patterns in some of these, the best of them are those whose attention and feed-forward it covers most. If
it adapts a few blocks alone, all fit but those that only have more layers than another. What is left over is
the same by names and sizes; only the file's header can tell these apart.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lorascope.adapters.atlas.lookup import Place, find
from lorascope.adapters.atlas.reader import Architecture, architecture, index
from lorascope.adapters.atlas.spelling import ANY, DENOISER, TEXT, Spelled, spellings

DIFFUSION, TEXT_ENCODER, LANGUAGE = "diffusion", "text encoder", "language model"
_KINDS = {
    DENOISER: (DIFFUSION,),
    TEXT: (TEXT_ENCODER, LANGUAGE),
    ANY: (DIFFUSION, LANGUAGE, TEXT_ENCODER),
}
_TELLING = {"a", "f", "g"}
_INSIDE_CLIP = ("text_model.", "text_model_")
_COMPONENT_OF_T5 = "text_encoder_3"
Size = tuple[int, int]


@dataclass(frozen=True)
class Named:
    """What a module of a file is.

    Attributes:
        layers: canonical layers in the order of its rows, with the prefix of a text encoder.
        component: model of the pipeline (``unet``, ``transformer``, ``text_encoder``, …), or ``model``.
        place: in the atlas; None where the name is not known.
        model: of the atlas, whose names these are.
        spelled: the module's name as it was taken apart.
    """

    layers: tuple[str, ...]
    component: str
    place: Place | None
    spelled: Spelled
    model: str | None = None


@dataclass(frozen=True)
class Identity:
    """What the atlas says of a file.

    Attributes:
        named: module → what it is.
        models: those that fit best, the same by names and sizes; of the main model, not of text encoders.
        nearest: where none fits, the model that has most of the names; None if none has any.
        against: what speaks against it, one line.
    """

    named: Mapping[str, Named] = field(repr=False)
    models: tuple[str, ...] = ()
    nearest: str | None = None
    against: str | None = None


@dataclass(frozen=True)
class _Chosen:
    model: Architecture | None
    fitting: tuple[str, ...]
    places: Mapping[str, tuple[Spelled, Place]]
    against: str | None


def identify(modules: Mapping[str, Size]) -> Identity:
    """Look up the modules of a file: name → (d_out, d_in)."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    read = {stem: list(spellings(stem)) for stem in modules}
    for stem, ways in read.items():
        groups[_group(ways)].append(stem)
    named: dict[str, Named] = {}
    main: list[_Chosen] = []
    for (kind, component), stems in groups.items():
        chosen = _choose(kind, {stem: read[stem] for stem in stems}, modules)
        prefix = _text_prefix(chosen, component) if kind == TEXT else ""
        named |= {stem: _named(stem, read[stem], chosen, kind, prefix) for stem in stems}
        if kind != TEXT:
            main.append(chosen)
    best = main[0] if len(main) == 1 else None
    ordered = {stem: named[stem] for stem in modules}
    if best is None or best.model is None:
        return Identity(ordered)
    if best.fitting:
        return Identity(ordered, best.fitting)
    return Identity(ordered, nearest=best.model.id, against=best.against)


def _group(ways: list[Spelled]) -> tuple[str, str]:
    """Modules of one model belong together: each text encoder is one, all else is the main model."""
    first = ways[0]
    if first.kind == TEXT:
        return TEXT, first.component
    if ways[-1].name.startswith(_INSIDE_CLIP):
        return TEXT, "text_encoder"
    return ANY, ""


@dataclass(frozen=True)
class _Weighed:
    model: Architecture
    places: Mapping[str, tuple[Spelled, Place]]
    agreeing: int
    inside: int
    against: str | None
    shares: tuple[float, float]


def _choose(kind: str, read: Mapping[str, list[Spelled]], modules: Mapping[str, Size]) -> _Chosen:
    candidates = _candidates(kind, read)
    weighed = [_weigh(architecture(name), read, modules) for name in candidates]
    if not weighed:
        return _Chosen(None, (), {}, None)
    whole = [one for one in weighed if not one.against]
    if whole:
        best = _best(whole)
        return _Chosen(best[0].model, tuple(one.model.id for one in best), best[0].places, None)
    # A few names that happen to be another network's say nothing of the rest.
    weighed = [one for one in weighed if len(one.places) * 2 > len(read)]
    if not weighed:
        return _Chosen(None, (), {}, None)
    nearest = max(weighed, key=lambda one: (one.agreeing, one.inside, one.shares))
    return _Chosen(nearest.model, (), nearest.places, nearest.against)


def _best(whole: list[_Weighed]) -> list[_Weighed]:
    """Of models that have all names of a file in its sizes, those that it is most likely made for."""
    sized = [one for one in whole if one.model.kind != LANGUAGE] or whole
    if complete := [one for one in sized if one.shares[0] == 1]:
        most = max(one.shares for one in complete)
        return [one for one in complete if one.shares == most]
    # A few blocks may be anybody's; but who needs not more layers than another needs no more said.
    names = {one.model.id: _names(one.model) for one in sized}
    return [one for one in sized if not any(names[other.model.id] < names[one.model.id] for other in sized)]


def _names(model: Architecture) -> set[tuple[str, int, int]]:
    return {(pattern.text, pattern.d_out, pattern.d_in) for pattern in model.patterns}


def _candidates(kind: str, read: Mapping[str, list[Spelled]]) -> list[str]:
    """Models that know most of the names."""
    counts: Counter[str] = Counter()
    for ways in read.values():
        # A dictionary for a set: the order of the models must not change from run to run.
        counts.update(
            list(
                dict.fromkeys(name for way in ways for name in index().get(way.key, ()) if _may_be(name, way))
            )
        )
    most = max(counts.values(), default=0)
    best = [name for name, count in counts.items() if count == most]
    encoders = [name for name in best if architecture(name).kind == TEXT_ENCODER]
    # A family of language models has any size: it is asked only where no encoder has such names.
    return encoders if kind == TEXT and encoders else best


def _may_be(name: str, way: Spelled) -> bool:
    kind = architecture(name).kind
    if kind == TEXT_ENCODER and way.kind == ANY:
        # A language model's adapter is no text encoder's: Mistral 7B has the names and sizes of Llama 3 8B.
        return architecture(name).cls.startswith("CLIP")
    return kind in _KINDS[way.kind]


def _weigh(model: Architecture, read: Mapping[str, list[Spelled]], modules: Mapping[str, Size]) -> _Weighed:
    places: dict[str, tuple[Spelled, Place]] = {}
    against = None
    agreeing = inside = 0
    for stem, ways in read.items():
        found = _place(model, ways)
        if found is None:
            against = against or f"it has no {ways[0].name}"
            continue
        places[stem] = found
        reason = found[1].against(*modules[stem])
        agreeing += reason is None
        inside += found[1].inside
        against = against or reason
    return _Weighed(model, places, agreeing, inside, against, _shares(model, places))


def _place(model: Architecture, ways: Iterable[Spelled]) -> tuple[Spelled, Place] | None:
    for way in ways:
        if _may_be(model.id, way) and (place := find(model, way)):
            return way, place
    return None


def _shares(model: Architecture, places: Mapping[str, tuple[Spelled, Place]]) -> tuple[float, float]:
    """How much of the adapted patterns, and of the parts that they belong to, a file covers.

    Attention and feed-forward count alone where there are any: whether an adapter has this or that embedder
    says little of its base.
    """
    if model.kind == LANGUAGE:
        return 0.0, 0.0
    patterns = [pattern for _, place in places.values() for pattern in place.patterns]
    touched = set(patterns)
    parts = {pattern.role[1] for pattern in touched}
    parts = parts & _TELLING or parts
    patterns = [pattern for pattern in patterns if pattern.role[1] in parts]
    touched = set(patterns)
    own = sum(pattern.count for pattern in touched)
    same_part = sum(pattern.count for pattern in model.patterns if pattern.role[1] in parts)
    return (len(patterns) / own, len(patterns) / same_part) if own else (0.0, 0.0)


def _text_prefix(chosen: _Chosen, component: str) -> str:
    """A text encoder's place in the canonical pipeline: by what it is, else by the number in the file."""
    if chosen.fitting:
        components = {architecture(name).component for name in chosen.fitting}
        if len(components) == 1 and (own := components.pop()):
            return own
    if chosen.model and chosen.model.component == _COMPONENT_OF_T5:
        return _COMPONENT_OF_T5
    return component


def _named(stem: str, ways: list[Spelled], chosen: _Chosen, kind: str, prefix: str) -> Named:
    spelled, place = chosen.places.get(stem, (ways[0], None))
    layers = place.paths if place else (spelled.name or stem,)
    model = chosen.model.id if chosen.model and place else None
    component = prefix or _main_component(chosen.model if place else None, spelled)
    if kind != TEXT and chosen.model and chosen.model.kind == TEXT_ENCODER and place:
        # A PEFT folder holds one model and does not name it.
        prefix = component = chosen.model.component
    layers = tuple(f"{prefix}.{layer}" if prefix else layer for layer in layers)
    return Named(layers, component, place, spelled, model)


def _main_component(model: Architecture | None, spelled: Spelled) -> str:
    if model is None:
        return spelled.component or "model"
    if model.kind == DIFFUSION:
        return "unet" if model.cls.startswith("UNet") else "transformer"
    return "model"


def base_model(models: Iterable[str]) -> str | None:
    """Return what a card calls a set of models: one's name, a family's, or "A or B"; None for none."""
    found = [architecture(name) for name in models]
    if len(found) == 1:
        return found[0].name
    families = list(dict.fromkeys(model.family for model in found))
    return " or ".join(families) or None


_SAID: tuple[tuple[str, str], ...] = (
    (r"inpaint", "sd15-inpaint sd2-inpaint sdxl-inpaint"),
    (r"kolors", "kolors"),
    (r"refiner", "sdxl-refiner"),
    (r"stable-diffusion-v1|sd_?v?1|stable-diffusion-1|sd-?1\.5", "sd15"),
    (r"stable-diffusion-v2|sd_?v?2|stable-diffusion-2", "sd2"),
    (r"sdxl|stable-diffusion-xl|pony|illustrious|noobai", "sdxl"),
    (r"chroma", "chroma"),
    (r"schnell", "flux1-schnell"),
    (r"flux[._-]?1?[-_ ]?fill", "flux1-fill"),
    (r"flux[._-]?1?[-_ ]?(canny|depth)", "flux1-depth-canny"),
    (r"flux[._-]?2|klein", "flux2-dev flux2-klein-4b flux2-klein-9b"),
    (r"flux[._-]?1?[-_ ]?(dev|krea|kontext)|kontext", "flux1-dev"),
    (r"flux[._-]?1?", "flux1-dev flux1-schnell flux1-fill flux1-depth-canny"),
    (r"bria", "bria3.2"),
    (r"layered", "qwen-image-layered"),
    (r"qwen[-_ ]?image", "qwen-image"),
    (r"framepack", "framepack"),
    (r"hunyuan.?video.*i2v", "hunyuanvideo-i2v-33ch hunyuanvideo-i2v-16ch"),
    (r"hunyuan.?video", "hunyuanvideo hunyuanvideo1.5"),
    (r"wan.?2[._]?2.*(i2v|image)", "wan2.2-i2v-a14b"),
    (r"wan.?2[._]?2", "wan2.2-t2v-a14b wan2.2-i2v-a14b wan2.2-ti2v-5b"),
    (r"flf2v", "wan2.1-flf2v-14b"),
    (r"wan.?2[._]?1.*i2v", "wan2.1-i2v-14b"),
    (r"pixart.*sigma", "pixart-sigma"),
    (r"pixart", "pixart-alpha-1024"),
    (r"cogvideox.?1[._]5.*i2v", "cogvideox1.5-5b-i2v"),
    (r"cogvideox.?1[._]5", "cogvideox1.5-5b"),
    (r"cogvideox.*i2v", "cogvideox-5b-i2v"),
    (r"cogvideox", "cogvideox-5b"),
    (r"sprint", "sana-sprint-1.6b"),
    (r"sana", "sana-1.6b"),
    (r"predict2[._]5|cosmos.?2[._]5", "cosmos2.5-2b"),
    (r"anima|predict2|cosmos.?2", "cosmos2-2b cosmos2-14b"),
    (r"predict1|cosmos.?1", "cosmos1-7b cosmos1-14b"),
    (r"animatediff", "animatediff"),
    (r"umt5", "umt5-xxl"),
)


def narrowed(models: tuple[str, ...], said: Iterable[str]) -> tuple[str, ...]:
    """Return those of some models that the words of a file's header name; all of them where it names none.

    Trainers write ``wan2.1`` for 2.2 too, and ``flux1`` for a whole family: words choose among models that
    fit, and never add one.
    """
    for text in said:
        words = text.lower()
        for pattern, named in _SAID:
            if re.search(pattern, words) and (chosen := [name for name in models if name in named.split()]):
                return tuple(chosen)
    return models
