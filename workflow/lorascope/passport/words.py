"""The passport in words, for the log, the page and the text."""

from lorascope.data.split import TRAIN
from lorascope.passport.starts import FRESH, MIXED, SHARED
from lorascope.wording import plural


def passport_lines(passport: dict) -> list[str]:
    """Return the passport in a few lines of plain words."""
    parts = ", ".join(f"{part} {sum(counts.values())}" for part, counts in passport["classes"].items())
    classes = len(passport["classes"][TRAIN])
    ranks = ", ".join(map(str, passport["ranks"]))
    return [
        f"Passport of {passport['dataset']}: {passport['adapters']} adapters, {classes} classes, "
        f"{passport['layers']} layers, rank {ranks}; {parts}",
        f"  start: {start_words(passport['starts'])}",
        f"  duplicates: {duplicate_words(passport['duplicates'])}",
        *(f"  {overlap_words(overlap)}" for overlap in passport["overlaps"]),
        f"  sizes: {size_words(passport['sizes'], passport['alphas'])}",
        f"  health: {health_words(passport['health'])}",
        f"  recipe: {recipe_words(passport['metadata'])}",
    ]


def start_words(starts: dict) -> str:
    """Say the init regime."""
    told = {
        FRESH: "every adapter has a random A of its own",
        SHARED: "all adapters started from the same A",
        MIXED: f"{starts['adapters']} adapters have {starts['starts']} starts between them",
    }[starts["regime"]]
    words = (
        f"{starts['regime']} ({told}); mean |cos| between A's {starts['cosine']:.3f}, "
        f"{starts['random']:.3f} if random, 1 if shared"
    )
    if starts["regime"] == SHARED or not starts["pulled"]:
        return words
    return f"{words}; training pulled A's together in {starts['pulled']} of {len(starts['layers'])} layers"


def duplicate_words(duplicates: dict) -> str:
    """Say how many adapters are the same update."""
    if not duplicates["sets"]:
        return "no two adapters are the same update ΔW"
    return (
        f"{duplicates['adapters']} adapters in {plural(duplicates['sets'], 'set')} of equal ΔW, "
        f"{duplicates['across_parts']} across parts"
    )


def overlap_words(overlap: dict) -> str:
    """Say how many values of a column two parts share."""
    shared = overlap["in_train_and_test"]
    told = f"{overlap['kind']} ({overlap['column']}): {shared} of {overlap['values']} in both train and test"
    return f"{told}, shared by {plural(overlap['test_adapters'], 'test adapter')}" if shared else told


def size_words(sizes: dict, alphas: list[float] | None) -> str:
    """Say how much the sizes of updates differ, and the alphas where the source knows them."""
    spread = "" if sizes["spread"] is None else f", {sizes['spread']:.1f}-fold"
    words = f"‖ΔW‖ {sizes['low']:.3g} to {sizes['high']:.3g} (90 % of the adapters{spread})"
    return words if alphas is None else f"{words}; alpha {', '.join(f'{alpha:g}' for alpha in alphas)}"


def health_words(health: dict) -> str:
    """Say what cannot tell anything."""
    counted = (
        (health["non_finite"], "adapter", "with weights that are not finite"),
        (health["dead_updates"], "update", "of zero"),
        (health["dead_adapters"], "adapter", "without any update"),
        (len(health["dead_layers"]), "layer", "without an update in any adapter"),
    )
    found = [f"{plural(count, noun)} {words}" for count, noun, words in counted if count]
    if health["rejected"]:
        found.append(f"{health['rejected']} rejected, listed in {health['rejected_list']}")
    return ", ".join(found) or "all weights finite, no update of zero"


def recipe_words(metadata: dict) -> str:
    """Say which settings of training differ between adapters."""
    if not metadata["recipe"]:
        return "no setting of training differs between adapters"
    return f"differs between adapters in {', '.join(metadata['recipe'])}"
