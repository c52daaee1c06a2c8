"""What all tests share: no network, one thread, caches of their own, and what a refusal must look like."""

import os
import tempfile
from contextlib import contextmanager

import pytest
from hypothesis import settings

# The same examples in every run; `--hypothesis-profile random` looks for others.
settings.register_profile("random", deadline=None, print_blob=True)
settings.register_profile("lorascope", settings.get_profile("random"), derandomize=True)
settings.load_profile("lorascope")


def pytest_configure(config):
    # Before any test module is imported: the libraries read these once, when they are loaded.
    cache = tempfile.TemporaryDirectory(prefix="lorascope-tests-")
    config.add_cleanup(cache.cleanup)
    os.environ["HF_HOME"] = cache.name
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ[name] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Fast ones first: a mistake should show in seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture
def refused():
    """A context that expects a LorascopeError of one line in which the pattern is found."""
    from lorascope.errors import LorascopeError

    @contextmanager
    def expect(pattern):
        with pytest.raises(LorascopeError, match=pattern) as caught:
            yield
        assert "\n" not in str(caught.value)

    return expect


@pytest.fixture
def package(tmp_path_factory, monkeypatch):
    """A copy of the package's source that a test may edit, in the package's place."""
    from lorascope.study import keys
    from package_copy import PackageCopy

    copy = PackageCopy(tmp_path_factory.mktemp("code"))
    monkeypatch.setattr(keys, "_ROOT", copy.root)
    copy.forget()
    yield copy
    monkeypatch.undo()
    copy.forget()
