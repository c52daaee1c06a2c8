"""Content addresses: equal settings have one key, and code counts exactly where it is used."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lorascope
from lorascope.features.registry import REPRESENTATIONS, parts
from lorascope.probes.registry import PROBES
from lorascope.study import keys, steps
from lorascope.study.config import load_config
from lorascope.study.plan import Plan

COMPUTED = REPRESENTATIONS[:-1]
BY_DEFAULT = (*REPRESENTATIONS, "delta_spectrum", "delta_kernel", "delta_gram")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def reordered(value):
    """Return the value with the keys of every map in reverse order."""
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_does_not_matter(value):
    assert keys.canonical_json(reordered(value)) == keys.canonical_json(value)
    assert keys.key_of(reordered(value)) == keys.key_of(value)
    assert json.loads(keys.canonical_json(value)) == value


@given(JSON, JSON)
def test_different_values_have_different_keys(one, other):
    # 1, 1.0 and True are equal to Python but are different settings.
    assert (keys.key_of(one) == keys.key_of(other)) == (
        keys.canonical_json(one) == keys.canonical_json(other)
    )


def test_keys_tell_how_values_are_nested():
    nestings = [("a", "b"), ("ab",), (["a", "b"],), ("a", ["b"]), ("b", "a"), ("a", "b", None)]
    assert len({keys.key_of(*nesting) for nesting in nestings}) == len(nestings)


def test_a_key_is_ten_hexadecimal_digits():
    key = keys.key_of("prepare", {"path": "x"})
    assert len(key) == keys.KEY_DIGITS == 10
    assert set(key) <= set("0123456789abcdef")


# code


def step_keys():
    """Return the keys of every step of a small study."""
    config = {"dataset": "five", "datasets": {"five": {"source": "sanity"}}, "probes": ["mlp"]}
    study = Plan(load_config(config))
    return {
        "data": study.data_key("five"),
        "labels": study.label_key("five"),
        **{f"features/{name}": study.feature_key("five", name) for name in COMPUTED},
        **{f"cell/{cell.representation}/{cell.layer_set}": cell.key for cell in study.cells("five")},
        "study": study.study_key("five"),
    }


def changed_by(package, file):
    """Return the names of the keys that an edit of a file changes."""
    before = step_keys()
    package.append(file)
    after = step_keys()
    return {name for name in before if before[name] != after[name]}


def cells_of(*representations):
    return {f"cell/{name}/{layer_set}" for name in representations for layer_set in ("all", "visual")}


def test_without_an_edit_no_key_changes(package):
    before = step_keys()
    package.forget()
    assert step_keys() == before


@pytest.mark.parametrize("name", ["stats", "spectral"])
def test_a_comment_in_a_representation_changes_that_representation_only(package, name):
    users = [other for other in REPRESENTATIONS if name in parts(other)]
    assert changed_by(package, f"features/{name}.py") == {f"features/{name}", "study"} | cells_of(*users)


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("files.py", {"data", "labels", "features/stats", "study"} | cells_of("stats")),
        ("adapters/names.py", {"data", "labels", "features/stats", "study"} | cells_of("stats")),
        ("data/sources/arrow.py", {"data", "labels", "features/stats", "study"} | cells_of("stats")),
        ("features/extract.py", {"features/stats", "study"} | cells_of("stats")),
    ],
)
def test_an_edit_changes_all_that_comes_after(package, file, first):
    assert first <= changed_by(package, file)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("data/labels.py", {"labels", "study"} | cells_of(*BY_DEFAULT)),
        ("probes/mlp.py", {"study"} | cells_of(*BY_DEFAULT)),
        ("stats/aggregate.py", {"study"}),
        ("report/page.py", {"study"}),
        ("zoo/unet.py", set()),
        ("study/progress.py", set()),
        ("study/plan.py", set()),
        ("cli/__init__.py", set()),
    ],
)
def test_an_edit_changes_nothing_that_comes_before(package, file, changed):
    assert changed_by(package, file) == changed


def test_a_new_import_is_followed_also_inside_a_function(package):
    modules = steps.LABEL
    package.append("helper.py", "from lorascope import errors\n")
    before = keys.code_digest(*modules)
    late = "\n\ndef late():\n    from lorascope.helper import errors\n\n    return errors\n"
    package.append("data/labels.py", late)
    assert keys.code_digest(*modules) != before
    before = keys.code_digest(*modules)
    package.append("helper.py")
    assert keys.code_digest(*modules) != before


def test_a_new_probe_changes_no_key_but_its_own(package):
    """Nor does an edit of one: `permuted` fits ridges, so that it follows `ridge`."""

    def digests():
        return {name: keys.code_digest(*steps.train(name)) for name in PROBES}

    before = digests()
    package.append("probes/classifiers/another.py", "from lorascope.probes.runs import Run\n")
    assert digests() == before
    for name, followers in (
        ("ridge", {"ridge", "permuted"}),
        ("knn", {"knn"}),
        ("mlp", {"mlp", "mlp_gated"}),
    ):
        before = digests()
        package.append(f"probes/classifiers/{name}.py", "EDITED = 1\n")
        assert {probe for probe, digest in digests().items() if digest != before[probe]} == followers


def test_imports_in_a_circle_end(package):
    package.append("one.py", "import lorascope.two\n")
    package.append("two.py", "import lorascope.one\n")
    assert keys.code_digest("lorascope.one") == keys.code_digest("lorascope.two")


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"lorascope\.absent"):
        keys.code_digest("lorascope.absent")


def test_a_data_file_counts(package):
    before = keys.file_digest("study/config.schema.yaml")
    package.append("study/config.schema.yaml")
    assert keys.file_digest("study/config.schema.yaml") != before


def test_every_module_of_every_step_is_there():
    named = [steps.ZOO_BASE, steps.ZOO_TRAIN, steps.PREPARE, steps.LABEL, steps.RESULTS]
    for modules in [*named, *map(steps.extract, COMPUTED), *map(steps.train, PROBES)]:
        assert all(keys._path(module) for module in modules)


def test_imports_are_of_the_kinds_that_keys_follow():
    """A relative import, or one by a computed name outside the registry, would not count in any key."""
    for file in Path(lorascope.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], file
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        if file.name not in ("registry.py", "discovery.py"):
            assert not names & {"import_module", "__import__"}, file


def test_the_imports_of_every_module_are_those_of_its_syntax_tree():
    for file in Path(lorascope.__file__).parent.rglob("*.py"):
        module = ".".join(["lorascope", *file.relative_to(keys._ROOT).with_suffix("").parts])
        names = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
        ours = {name for name in names if name.split(".")[0] == "lorascope" and keys._path(name)}
        assert keys._imports(module.removesuffix(".__init__")) == ours, file
