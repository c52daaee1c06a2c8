"""Which probes there are; a module is imported when its probe is run, so that keys cover one probe alone."""

from collections.abc import Iterator, Sequence
from importlib import import_module

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.probes.runs import Part, Run

MLP = "lorascope.probes.mlp"
GATED = "lorascope.probes.gated"
SHALLOW = "lorascope.probes.shallow"

MODULES = {
    "mlp": MLP,
    "mlp_gated": GATED,
    "ridge": SHALLOW,
    "logistic": SHALLOW,
    "knn": SHALLOW,
    "kernel": SHALLOW,
    "trees": SHALLOW,
    "fusion": "lorascope.probes.fusion",
    "class_means": "lorascope.probes.class_means",
    "permuted": SHALLOW,
    "majority": SHALLOW,
    **{name: f"lorascope.probes.factors.{name}" for name in ("gl_net", "w2t", "mvprobe")},
}
# Networks that know the symmetry of ΔW = BA: they read the representation ``factors``, and nobody else does,
# because the signs in it are free.
FACTORS = "factors"
FACTOR_PROBES = frozenset({"gl_net", "w2t", "mvprobe"})
# Every seed would give the same run again.
SEEDLESS = frozenset({"ridge", "logistic", "knn", "kernel", "fusion", "class_means", "majority"})
# These look at inner products of the features as they are; standardising would change what is measured.
UNSCALED = frozenset({"kernel", *FACTOR_PROBES})


def reads(probe: str, representation: str) -> bool:
    """Tell whether a probe can read a representation: whether a study has a cell of the two."""
    return (probe in FACTOR_PROBES) == (representation == FACTORS)


def check_pairs(representations: Sequence[str], probes: Sequence[str]) -> None:
    """Check that each representation has a probe that reads it, and the other way round.

    Raises:
        LorascopeError: one has none.
    """
    readers = ", ".join(sorted(FACTOR_PROBES))
    for name in representations:
        if not any(reads(probe, name) for probe in probes):
            which = f"one of {readers}" if name == FACTORS else f"a probe other than {readers}"
            raise LorascopeError(f"config: probes: none reads the representation '{name}'; add {which}")
    for probe in probes:
        if not any(reads(probe, name) for name in representations):
            which = f"add '{FACTORS}'" if probe in FACTOR_PROBES else f"add one other than '{FACTORS}'"
            raise LorascopeError(f"config: representations: '{probe}' reads none of them; {which}")


def network_answers(
    name: str, state: dict[str, np.ndarray], columns: Sequence[str], features: np.ndarray
) -> np.ndarray:
    """Return log-probabilities, float64 [n, classes], of a trained network that reads factors."""
    return import_module(MODULES[name]).log_probabilities(state, columns, features)


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
        device: ``cpu`` or a CUDA device, for ``mlp``, ``mlp_gated`` and the networks that read factors.
        threads: seeds trained at a time by them.
    """
    module = import_module(MODULES[name])
    if name == "mlp":
        yield from module.train_mlp(parts, n_classes, module.MLPSettings(**settings), seeds, device, threads)
    elif name in FACTOR_PROBES:
        yield from module.run(parts, n_classes, settings, seeds, device, threads)
    elif name == "mlp_gated":
        gated = module.GatedSettings(**settings)
        yield from module.train_gated(parts, n_classes, gated, seeds, device, threads)
    elif name == "permuted":
        # Dealt out before anything looks at them: the choice of a penalty must not see the truth either.
        for seed in seeds:
            yield from module.run_shallow(module.ridge, module.deal_labels(parts, seed), settings, [seed])
    elif name == "class_means":
        for run in import_module(SHALLOW).run_shallow(module.class_means, parts, settings, seeds):
            run.foreign_auroc = module.foreign_auroc(parts, run.chosen["components"])
            yield run
    else:
        shallow = import_module(SHALLOW)
        yield from shallow.run_shallow(getattr(module, name), parts, settings, seeds)
