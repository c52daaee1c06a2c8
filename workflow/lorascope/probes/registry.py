"""Which probes there are; a module is imported when its probe is run, so that keys cover one probe alone."""

from collections.abc import Iterator, Sequence
from importlib import import_module

from lorascope.probes.runs import Part, Run

MLP = "lorascope.probes.mlp"
SHALLOW = "lorascope.probes.shallow"

MODULES = {
    "mlp": MLP,
    "ridge": SHALLOW,
    "logistic": SHALLOW,
    "knn": SHALLOW,
    "kernel": SHALLOW,
    "trees": SHALLOW,
    "permuted": SHALLOW,
    "majority": SHALLOW,
}
# Every seed would give the same run again.
SEEDLESS = frozenset({"ridge", "logistic", "knn", "kernel", "majority"})
# These look at inner products of the features as they are; standardising would change what is measured.
UNSCALED = frozenset({"kernel"})


def run_probe(
    name: str,
    parts: dict[str, Part],
    n_classes: int,
    settings: dict,
    seeds: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[Run]:
    """Train a probe once a seed and yield each run when it is finished.

    Args:
        name: key of :data:`MODULES`.
        parts: ``train``, ``validation`` and ``test``; every class occurs in ``train``.
        n_classes: number of classes.
        settings: the probe's section of the config.
        seeds: one run each.
        device: ``cpu`` or a CUDA device; only ``mlp`` makes use of one.
        threads: seeds trained at a time by ``mlp``.
    """
    module = import_module(MODULES[name])
    if name == "mlp":
        yield from module.train_mlp(parts, n_classes, module.MLPSettings(**settings), seeds, device, threads)
    elif name == "permuted":
        # Dealt out before anything looks at them: the choice of a penalty must not see the truth either.
        for seed in seeds:
            yield from module.run_shallow(module.ridge, module.deal_labels(parts, seed), settings, [seed])
    else:
        yield from module.run_shallow(getattr(module, name), parts, settings, seeds)
