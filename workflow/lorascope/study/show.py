"""What finished studies found, read from their folders alone: it needs neither settings nor data."""

from collections.abc import Iterator
from pathlib import Path

from lorascope.files import read_table
from lorascope.report.summary import load_summary
from lorascope.report.text import verdict
from lorascope.stats.aggregate import RESULTS_FILE

# Of the best cell, for programs.
SCORES = ("representation", "layer_set", "probe", "seeds", "test_adapters", "chance", "test_accuracy_mean")
SCORES += ("test_accuracy_std", "test_accuracy_adapters_low", "test_accuracy_adapters_high")


def study_answer(folder: Path) -> list[str]:
    """Return what a study found, data set by data set, and where its pages lie."""
    return [
        *(line for dataset in _datasets(folder) for line in dataset_answer(dataset)),
        *curves_answer(folder / "scaling"),
        *(line for images in sorted(folder.glob("sparse/*")) for line in gates_answer(images)),
    ]


def dataset_answer(folder: str | Path) -> list[str]:
    """Return the verdict on one data set of a study, and where its page, or else its tables, lie."""
    page, tables = Path(folder, "report", "index.html"), Path(folder, "summary")
    lines = verdict(tables, page if page.exists() else None).splitlines()
    return lines if page.exists() else [*lines, f"Tables: {tables}"]


def curves_answer(folder: Path) -> list[str]:
    """Return the learning curves of a study, and where their figure lies; nothing where there are none."""
    if not (folder / "sizes.parquet").exists():
        return []
    from lorascope.report.scaling import curve_lines

    return [*curve_lines(read_table(folder / "sizes.parquet").to_pylist()), f"Figure: {folder / 'sizes.svg'}"]


def gates_answer(folder: Path) -> list[str]:
    """Return what a comparison of gates says, and where its page lies; nothing where there is none."""
    if not (folder / "comparison" / "comparison.json").exists():
        return []
    from lorascope.sparse.report import read_comparison
    from lorascope.sparse.verdict import headline

    return [headline(read_comparison(folder / "comparison")), f"Page: {folder / 'report' / 'index.html'}"]


def study_record(folder: Path) -> dict:
    """Return the same for programs, as plain JSON: each data set's verdict, best cell and headline drop."""
    return {
        "study": folder.name,
        "datasets": [_record(dataset) for dataset in _datasets(folder)],
        "scaling": curves_answer(folder / "scaling"),
        "sparse": [line for images in sorted(folder.glob("sparse/*")) for line in gates_answer(images)],
    }


def _record(folder: Path) -> dict:
    summary = load_summary(folder / "summary")
    page = folder / "report" / "index.html"
    return {
        "dataset": summary.results["dataset"],
        "verdict": verdict(folder / "summary").splitlines(),
        "best": summary.best and {name: summary.best[name] for name in SCORES},
        "drop": summary.headline_drop,
        "tables": str(folder / "summary"),
        "page": str(page) if page.exists() else None,
    }


def _datasets(folder: Path) -> Iterator[Path]:
    return (path.parents[1] for path in sorted(folder.glob(f"*/summary/{RESULTS_FILE}")))
