"""The tables of a paper: LaTeX for ``\\input``, in the manner of the booktabs package."""

from collections.abc import Iterable
from pathlib import Path

from lorascope.files import write_bytes
from lorascope.report.numbers import decimal, p_value, share
from lorascope.report.summary import Summary
from lorascope.report.text import SANITY_WARNING, layer_name

SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "–": "--",
        "−": "$-$",
        "<": "$<$",
        ">": "$>$",
        "×": r"$\times$",
        "→": r"$\rightarrow$",
    }
)
NOTHING = "--"


def save_tables(summary: Summary, folder: str | Path) -> list[Path]:
    """Write accuracy, scores, drops, comparisons, layers and ablations (.tex), as far as there are results.

    Each holds one tabular; its caption and label are the paper's, whose preamble loads booktabs.
    """
    written = []
    for name, table in tables(summary).items():
        path = Path(folder) / f"{name}.tex"
        write_bytes(path, table.encode())
        written.append(path)
    return written


def tables(summary: Summary) -> dict[str, str]:
    """Return name → LaTeX text."""
    drawn = {"accuracy": _accuracy(summary), "scores": _scores(summary)}
    if summary.results["drops"]:
        drawn["drops"] = _drops(summary)
    if summary.results["comparisons"]:
        drawn["comparisons"] = _comparisons(summary)
    if summary.results["layers"]:
        drawn |= {"layers": _layers(summary), "ablations": _ablations(summary)}
    note = f"% {SANITY_WARNING}\n" if summary.results["sanity"] else ""
    return {name: note + text for name, text in drawn.items()}


def _accuracy(summary: Summary) -> str:
    """Test accuracy ± deviation over seeds and test-set interval by layer set; the best cell in bold."""
    rows = [
        [escaped(summary.label(row)), *(_accuracy_of(summary, row, name) for name in summary.layer_sets)]
        for row in summary.rows
    ]
    comment = "Test accuracy in per cent: mean ± std over seeds, [95 % test-set interval]."
    return _tabular(comment, ["representation", *summary.layer_sets], rows)


def _accuracy_of(summary: Summary, row: tuple[str, str], layer_set: str) -> str:
    cell = summary.cell(row, layer_set)
    if cell is None:
        return NOTHING
    if not cell["seeds"]:
        return escaped(cell["status"])
    mean, std = share(cell["test_accuracy_mean"]), cell["test_accuracy_std"]
    told = rf"\textbf{{{mean}}}" if cell is summary.best else mean
    told += "" if std is None else rf" $\pm$ {share(std)}"
    return f"{told} {_range(cell['test_accuracy_adapters_low'], cell['test_accuracy_adapters_high'])}"


def _scores(summary: Summary) -> str:
    metrics = ("test_accuracy", "test_f1", "test_precision", "test_recall", "test_auroc", "test_ece")
    rows = [
        [
            escaped(summary.label_of(cell)),
            escaped(cell["layer_set"]),
            *(escaped(share(cell[f"{metric}_mean"])) for metric in metrics),
            escaped(share(cell["train_test_gap"])),
            f"{cell['seconds_mean']:.1f}",
        ]
        for cell in _in_order(summary)
    ]
    names = ["accuracy", "F1", "precision", "recall", "AUROC", "ECE", "gap", "seconds"]
    comment = "Means over seeds, test part, in per cent; the gap is training minus test accuracy, in points."
    return _tabular(comment, ["representation", "layer set", *names], rows, words=2)


def _drops(summary: Summary) -> str:
    rows = [
        [
            escaped(summary.label_of(drop)),
            escaped(f"{drop['reference']} → {drop['layer_set']}"),
            *_drop_numbers(drop),
        ]
        for row in summary.rows
        for layer_set in summary.layer_sets
        if (drop := summary.drop(row, layer_set))
    ]
    comment = "Drop in points and per cent, [95 % test-set interval]; Cohen's h; sign-flip p after Holm."
    return _tabular(comment, ["representation", "layer sets", "drop", "relative", "h", "p"], rows, words=2)


def _drop_numbers(drop: dict) -> list[str]:
    if drop["drop"] is None:
        return [escaped(drop["reason"]), NOTHING, NOTHING, NOTHING]
    return [
        f"{escaped(share(drop[name]))} {_range(drop[f'{name}_low'], drop[f'{name}_high'])}"
        for name in ("drop", "relative_drop")
    ] + [escaped(decimal(drop["cohen_h"])), escaped(p_value(drop["p_holm"]))]


def _comparisons(summary: Summary) -> str:
    rows = [
        [
            escaped(pair["representation"]),
            escaped(pair["other"]),
            escaped(pair["layer_set"]),
            f"{escaped(share(pair['difference']))} {_range(pair['difference_low'], pair['difference_high'])}",
            escaped(p_value(pair["p_holm"])),
        ]
        for pair in summary.results["comparisons"]
    ]
    comment = "Difference in test accuracy in points, [95 % test-set interval]; sign-flip p after Holm."
    return _tabular(comment, ["better", "worse", "layer set", "difference", "p"], rows, words=3)


def _layers(summary: Summary) -> str:
    rows = [
        [
            escaped(layer_name(layer)),
            f"{layer['rank']} [{layer['rank_low']:.0f}, {layer['rank_high']:.0f}]",
            *(
                f"{escaped(share(layer[name]))} {_range(layer[f'{name}_low'], layer[f'{name}_high'])}"
                for name in ("accuracy", "test_accuracy")
            ),
        ]
        for layer in summary.results["layers"]
    ]
    comment = "One layer alone: place and accuracy on left-out adapters, on the test part, [95 % intervals]."
    return _tabular(comment, ["layer", "place", "left out", "test"], rows)


def _ablations(summary: Summary) -> str:
    names = {"keep": "kept", "remove": "removed"}
    rows = [
        [
            names[row["question"]],
            escaped(row["choice"]),
            str(row["k"]),
            *(
                f"{escaped(share(row[name]))} {_range(row[f'{name}_low'], row[f'{name}_high'])}"
                for name in ("test_accuracy", "loss")
            ),
            escaped(p_value(row["p_holm"])),
        ]
        for row in summary.results["layer_ablations"]
        if row["question"] in names
    ]
    comment = "Test accuracy with k layers kept alone or removed, loss from all, [95 % test-set intervals]."
    return _tabular(comment, ["layers", "choice", "k", "test", "loss", "p"], rows, words=2)


def _in_order(summary: Summary) -> Iterable[dict]:
    cells = (summary.cell(row, layer_set) for row in summary.rows for layer_set in summary.layer_sets)
    return (cell for cell in cells if cell and cell["seeds"])


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{escaped(share(low))}, {escaped(share(high))}]"


def _tabular(comment: str, head: list[str], rows: list[list[str]], words: int = 1) -> str:
    """A tabular whose first ``words`` columns are words; numbers are set flush right."""
    columns = "l" * words + "r" * (len(head) - words)
    lines = [
        f"% {comment}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escaped, head)) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return text.translate(SPECIAL)
