"""Pins in one voice: requirements.txt, the conda mirror, and the ranges of pyproject.toml."""

import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workflow import ROOT


def pinned(lines) -> dict[str, str]:
    return dict(line.strip().split("==") for line in lines if "==" in line)


REQUIREMENTS = pinned((ROOT / "requirements.txt").read_text().splitlines())
RANGES = [
    Requirement(text)
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
]


def test_every_dependency_is_pinned_inside_its_range():
    for requirement in RANGES:
        assert requirement.specifier.contains(REQUIREMENTS[canonicalize_name(requirement.name)])


def test_conda_mirrors_the_pins_of_all_direct_dependencies():
    packages = yaml.safe_load((ROOT / "envs/lorascope.yaml").read_text())["dependencies"]
    mirrored = pinned(packages[-1]["pip"])
    assert mirrored == {requirement.name: REQUIREMENTS[requirement.name] for requirement in RANGES}
