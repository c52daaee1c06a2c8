"""Which probes there are: the modules in ``classifiers``, which says what each of them has.

They are imported by name and only when needed: the key of a cell covers what its own probe imports.
"""

from collections.abc import Iterator, Sequence
from types import ModuleType

from lorascope.discovery import load_module, modules_in
from lorascope.errors import LorascopeError
from lorascope.probes import classifiers
from lorascope.probes.runs import Part, Run
from lorascope.probes.temperature import calibrated

PROBES = modules_in(classifiers)
# The signs in it are free: only probes that know this can read it.
FACTORS = "factors"


def load(probe: str) -> ModuleType:
    """Import the module of a probe.

    Raises:
        LorascopeError: there is no such probe.
    """
    if probe not in PROBES:
        raise LorascopeError(f"probe '{probe}' is not known; choose from: {', '.join(PROBES)}")
    return load_module(classifiers, probe)


def source_of(probe: str) -> str:
    """Return the full name of the module that defines a probe."""
    return f"{classifiers.__name__}.{probe}"


def is_seedless(probe: str) -> bool:
    """Tell whether every seed would give the same run again."""
    return getattr(load(probe), "SEEDLESS", False)


def is_standardised(probe: str) -> bool:
    """Tell whether a probe sees standardised features, and not the features as they are."""
    return getattr(load(probe), "STANDARDISED", True)


def reads_factors(probe: str) -> bool:
    """Tell whether a probe reads the representation ``factors``, and nothing else."""
    return getattr(load(probe), "READS_FACTORS", False)


def reads(probe: str, representation: str) -> bool:
    """Tell whether a probe can read a representation: whether a study has a cell of the two."""
    return reads_factors(probe) == (representation == FACTORS)


def check_pairs(representations: Sequence[str], probes: Sequence[str]) -> None:
    """Check that each representation has a probe that reads it, and the other way round.

    Raises:
        LorascopeError: one has none.
    """
    readers = ", ".join(filter(reads_factors, PROBES))
    for name in representations:
        if not any(reads(probe, name) for probe in probes):
            which = f"one of {readers}" if name == FACTORS else f"a probe other than {readers}"
            raise LorascopeError(f"config: probes: none reads the representation '{name}'; add {which}")
    for probe in probes:
        if not any(reads(probe, name) for name in representations):
            which = f"add '{FACTORS}'" if reads_factors(probe) else f"add one other than '{FACTORS}'"
            raise LorascopeError(f"config: representations: '{probe}' reads none of them; {which}")


def run_probe(
    name: str,
    parts: dict[str, Part],
    n_classes: int,
    settings: dict,
    seeds: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[Run]:
    """Train a probe once a seed and yield each run, its probabilities calibrated, when it is finished.

    Args:
        name: one of :data:`PROBES`.
        parts: ``train``, ``validation`` and ``test``; every class occurs in ``train``.
        n_classes: number of classes.
        settings: the probe's section of the config.
        seeds: one run each.
        device: ``cpu`` or a CUDA device, for the probes that torch trains.
        threads: seeds trained at a time by them.
    """
    for run in load(name).run(parts, n_classes, settings, seeds, device, threads):
        yield run if run.temperature is not None else calibrated(run, parts)
