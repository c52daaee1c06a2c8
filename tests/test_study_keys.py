"""Content addresses: equal settings have one key, and code counts exactly where it is used."""

import ast
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lorascope
from lorascope.adapters.atlas.reader import DATA as ATLAS
from lorascope.features.registry import of_layers, of_matrices, parts
from lorascope.probes.registry import PROBES
from lorascope.study import keys, steps
from lorascope.study.code import read_module
from lorascope.study.config import load_config
from lorascope.study.plan import Plan

COMPUTED = tuple(name for name in of_matrices() if parts(name) == (name,))
BY_DEFAULT = (*of_matrices(), "delta_spectrum", "delta_kernel", "delta_gram")
TEMPLATES = keys._ROOT / "report/templates"
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
def test_a_constant_in_a_representation_changes_that_representation_only(package, name):
    users = [other for other in of_matrices() if name in parts(other)]
    assert changed_by(package, f"features/representations/{name}.py") == {
        f"features/{name}",
        "study",
    } | cells_of(*users)


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


@pytest.mark.parametrize(
    ("file", "modules"),
    [
        ("zoo/base.safetensors", steps.SHIPPED_BASE),
        ("report/templates/page.css", steps.RESULTS),
        ("report/templates/sparse.html", steps.SPARSE_RESULTS),
    ],
)
def test_data_files_count(package, file, modules):
    before = keys.code_digest(*modules)
    package.append(file)
    assert keys.code_digest(*modules) != before


def test_every_data_file_is_in_some_key():
    in_keys = {"zoo/base.safetensors", *(f"report/templates/{path.name}" for path in TEMPLATES.iterdir())}
    # Its defaults fill the settings, and these are in the keys.
    in_keys.add("study/config.schema.yaml")
    # A module that the reader imports carries their digest (test_adapters_atlas).
    assert "lorascope.adapters.atlas.digest" in keys._closure(steps.PREPARE)
    in_keys |= {f"adapters/atlas/data/{path.name}" for path in ATLAS.glob("*.json")}
    there = {path for path in keys._ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    others = {path.relative_to(keys._ROOT).as_posix() for path in there if path.suffix != ".py"}
    assert others == in_keys


def test_every_module_of_every_step_is_there():
    named = [steps.ZOO_BASE, steps.ZOO_TRAIN, steps.PREPARE, steps.LABEL, steps.RESULTS]
    for modules in [*named, *map(steps.extract, COMPUTED), *map(steps.train, PROBES)]:
        assert all(keys._path(module) for module in modules)


def test_imports_are_of_the_kinds_that_keys_follow():
    """A relative import, or one by a computed name outside the registries, would not count in any key."""
    for file in Path(lorascope.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], file
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        by_name = {"import_module", "__import__", "load_module"}
        assert file.name in ("registry.py", "discovery.py") or not names & by_name, file


CODE = '''"""What it is."""
import numpy

LIMIT = 0.5


class Kept:
    """A class."""

    def call(self, x: int = 1) -> str:
        """Say it.

        Twice.
        """
        return f"{x:.2f}" + 'a' if x < LIMIT else ""


async def late():
    "Nothing."
'''


@pytest.fixture
def digest(tmp_path):
    """Return a function that digests code."""
    file = tmp_path / "module.py"

    def digest(code):
        file.write_text(code)
        return read_module(file)[0]

    return digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is.", "What it was."),
        ('"""What it is."""', ""),
        ('    """A class."""\n\n', ""),
        ("Twice.", "Once."),
        ("LIMIT = 0.5", 'LIMIT = 0.5\n"""Half."""'),
        ('    "Nothing."', "    '''Something\\n'''"),
        ("LIMIT = 0.5", "# Half.\nLIMIT = 0.5  # of all"),
        ("LIMIT = 0.5\n", "\n\nLIMIT = 0.5\n\n"),
        ("LIMIT = 0.5", "LIMIT = (\n    0.50\n)"),
        ("'a'", '"a"'),
        ("x: int = 1", "x: int = 1,"),
        ("return f", "return (f"),
    ],
)
def test_what_python_does_not_see_is_in_no_digest(digest, old, new):
    edited = CODE.replace(old, new)
    if new.endswith("(f"):
        edited = edited.replace('else ""', 'else "")')
    assert edited != CODE
    assert digest(edited) == digest(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 0.5", "LIMIT = 0.25"),
        ("LIMIT = 0.5", "LIMIT = '0.5'"),
        ("LIMIT = 0.5", "LIMIT = None"),
        ("LIMIT = 0.5", "LIMIT = [0.5]"),
        ("LIMIT = 0.5", "LIMIT: float = 0.5"),
        ("x < LIMIT", "LIMIT < x"),
        ("x < LIMIT", "x <= LIMIT"),
        ("x:.2f", "x:.3f"),
        ("x: int", "x: float"),
        ("'a'", "b'a'"),
        ("import numpy", "import numpy as np"),
        ("async def", "def"),
    ],
)
def test_what_python_does_see_is_in_the_digest(digest, old, new):
    assert old in CODE
    assert digest(CODE.replace(old, new)) != digest(CODE)


def test_docstrings_of_the_whole_package_are_in_no_key(package):
    class Reworded(ast.NodeTransformer):
        def visit_Expr(self, node):
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            return ast.Expr(ast.Constant("other words")) if is_text else node

    before = step_keys()
    for file in package.root.rglob("*.py"):
        tree = ast.fix_missing_locations(Reworded().visit(ast.parse(file.read_text())))
        file.write_text("# in other words\n" + ast.unparse(tree))
    package.forget()
    assert step_keys() == before


def test_a_constant_counts_also_where_it_is_imported_by_way_of_others(package):
    """`extract` → `batch` → `singular_values`: no step names the last."""
    file = package.root / "features/singular_values.py"
    assert "FLOAT32_ROUNDING = 2.0**-24" in file.read_text()
    before = step_keys()
    file.write_text(file.read_text().replace("FLOAT32_ROUNDING = 2.0**-24", "FLOAT32_ROUNDING = 2.0**-23"))
    package.forget()
    after = step_keys()
    assert {name for name in COMPUTED if before[f"features/{name}"] != after[f"features/{name}"]} >= {
        "spectral"
    }


def test_trees_are_kept_beside_the_bytecode_and_never_read_without_their_source(tmp_path, monkeypatch):
    file = tmp_path / "module.py"
    file.write_text("import lorascope.files\nfrom lorascope import errors\nONE = 1\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = read_module(file)
    assert found[1] == {"lorascope.files", "lorascope", "lorascope.errors"}
    assert not (tmp_path / "__pycache__").exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert read_module(file) == found
    (kept,) = (tmp_path / "__pycache__").iterdir()
    monkeypatch.setattr(ast, "parse", None)
    assert read_module(file) == found
    monkeypatch.undo()
    for content in (b"", b"\0" * 50, b"[]", b'{"source": 1}', kept.read_bytes()[:-5]):
        kept.write_bytes(content)
        assert read_module(file) == found
    file.write_text("ONE = 2\n")
    assert read_module(file)[0] != found[0]
    assert read_module(file)[1] == set()


# What reads the options of a step and hands them over; and what no number depends on: the screen, the store,
# devices (which files record and keys leave out), a picture, what is said of results.
GLUE = ("argparse", "lorascope.cli", "lorascope.errors", "lorascope.files", "lorascope.leftovers")
GLUE += ("lorascope.study.steps", "lorascope.study.config", "lorascope.study.plan", "lorascope.store")
GLUE += ("lorascope.devices", "lorascope.features.device_blocks", "lorascope.zoo.samples")
GLUE += ("lorascope.passport.words", "lorascope.sparse.verdict", "lorascope.sparse.document")
GLUE += ("lorascope.report.document",)


def test_what_the_command_calls_is_in_the_key_of_a_step():
    named = [getattr(steps, name) for name in dir(steps) if name.isupper() and not name.startswith("_")]
    named += [*map(steps.extract, of_matrices()), *map(steps.extract, of_layers()), steps.fit("delta_gram")]
    named += [*map(steps.train, PROBES), steps.scale("mlp"), steps.sparse_train("dense")]
    digested = set().union(*(keys._closure(tuple(one for one in part if "/" not in one)) for part in named))
    for name in ("controls", "data", "features", "importance", "sparse", "sparse_results", "train", "zoo"):
        called = {one for one in keys._imports(f"lorascope.cli.{name}") if not one.startswith(GLUE)}
        assert called, name
        assert called <= digested, name


def test_the_command_decides_no_number():
    """What a step computes lies in the modules that its key digests; the command hands options over."""
    steps_of = ("controls", "data", "features", "importance", "sparse", "sparse_results", "train", "zoo")
    for name in steps_of:
        nodes = list(ast.walk(ast.parse((keys._ROOT / f"cli/{name}.py").read_text())))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert imported <= {"argparse", "json", "logging", "shutil"}, name
        layout = {node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "indent"}
        values = [node.value for node in nodes if isinstance(node, ast.Constant) and node not in layout]
        numbers = [value for value in values if type(value) in (int, float) and value != 1]
        assert not numbers, name
