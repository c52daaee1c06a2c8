"""What every column of the summary tables means. ``python -m lorascope.stats.dictionary`` prints the page.

The tests hold these words against the tables' schemas and docs/metrics.md against these words.
"""

import pyarrow as pa

from lorascope.stats.adapter_map import ADAPTER_MAP_SCHEMA
from lorascope.stats.aggregate import METHODS
from lorascope.stats.cells import CURVES, METRICS
from lorascope.stats.comparisons import COMPARISONS_SCHEMA
from lorascope.stats.controls import CONTROLS_SCHEMA, RANDOM_LAYERS_SCHEMA
from lorascope.stats.details import (
    ANSWERS_SCHEMA,
    CLASSES_SCHEMA,
    CONFUSIONS_SCHEMA,
    CURVES_SCHEMA,
    PER_CLASS,
    RELIABILITY_SCHEMA,
)
from lorascope.stats.drops import DROPS_SCHEMA, MEAN_DROPS_SCHEMA
from lorascope.stats.importance import LAYER_ABLATIONS_SCHEMA, LAYER_GROUPS_SCHEMA, LAYERS_SCHEMA
from lorascope.stats.passport import CHANGES, INVARIANCE_SCHEMA, PASSPORT_SCHEMA
from lorascope.stats.sizes import SIZES_SCHEMA
from lorascope.stats.tables import CELLS_SCHEMA, RUNS_SCHEMA

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "passport": ("fact about the data set; `passport.json` holds the same as a tree", PASSPORT_SCHEMA),
    "controls": ("control, and the representation and layer set that it is of", CONTROLS_SCHEMA),
    "random_layers": ("representation and layer set other than the reference", RANDOM_LAYERS_SCHEMA),
    "invariance": ("representation", INVARIANCE_SCHEMA),
    "runs": ("run (seed of a cell)", RUNS_SCHEMA),
    "cells": ("cell (data set × layer set × representation × probe), also where it failed", CELLS_SCHEMA),
    "drops": ("representation, probe and layer set other than the reference", DROPS_SCHEMA),
    "mean_drops": ("probe and layer set: the drop on average over the representations", MEAN_DROPS_SCHEMA),
    "comparisons": ("layer set, probe and pair of representations", COMPARISONS_SCHEMA),
    "curves": ("cell and epoch", CURVES_SCHEMA),
    "confusions": ("cell, part, true and predicted class", CONFUSIONS_SCHEMA),
    "classes": ("cell and class, on the test part", CLASSES_SCHEMA),
    "reliability": ("cell, part and bin of confidence that holds answers", RELIABILITY_SCHEMA),
    "answers": ("cell and test adapter", ANSWERS_SCHEMA),
    "layers": ("layer, the most telling first", LAYERS_SCHEMA),
    "layer_groups": ("block × attention × projection", LAYER_GROUPS_SCHEMA),
    "layer_ablations": (
        "number of layers kept, or removed: the best, or random ones",
        LAYER_ABLATIONS_SCHEMA,
    ),
    "adapter_map": ("adapter on the map", ADAPTER_MAP_SCHEMA),
    "sizes": ("cell and share of the training part (`scaling` in the settings)", SIZES_SCHEMA),
}

_PARTS = {"train": "training", "validation": "validation", "test": "test"}
_SCORES = {
    "accuracy": "share of {part} adapters whose class is named (the most probable one)",
    "f1": "F1 on the {part} part, mean over the classes that occur (macro)",
    "precision": "precision on the {part} part, macro; a class that is never named has 0",
    "recall": "recall on the {part} part, macro (balanced accuracy)",
    "loss": "negative log-likelihood of the true {part} classes, mean, nats; ln(classes) knows nothing",
    "top3_accuracy": "share of {part} adapters whose class is among the three most probable (ties: not)",
    "auroc": "area under the ROC curve on the {part} part, one class against the rest, macro; chance is 0.5",
    "mcc": "Matthews' correlation on the {part} part (Gorodkin 2004), −1 to 1; 0 knows nothing",
    "ece": "expected calibration error on the {part} part (Guo et al. 2017), 0 is calibrated; biased upwards "
    "on few adapters",
    "brier": "Brier score on the {part} part, summed over the classes, 0 (certain and right) to 2",
    "confidence": "mean probability of the named class on the {part} part; above the accuracy: overconfident",
}
_METRICS = {
    **{
        f"{part}_{score}": text.format(part=words)
        for part, words in _PARTS.items()
        for score, text in _SCORES.items()
        if f"{part}_{score}" in METRICS
    },
    "best_epoch": "epoch whose weights were kept (best validation accuracy), from 1",
    "epochs": "epochs until the early stop",
    "seconds": "wall-clock seconds of the seed's training; the only column that another run changes",
}
_CURVES = {
    "train_loss": "training loss, nats",
    "validation_loss": "validation loss, nats",
    "validation_accuracy": "validation accuracy",
}
_PER_CLASS = {
    "precision": "share of the adapters named so that are of this class",
    "recall": "share of this class's adapters that are named so",
    "f1": "harmonic mean of precision and recall",
}
_IDENTITY = {
    "dataset": "name of the data set",
    "layer_set": "layers that the probe saw",
    "representation": "features that the probe saw",
    "probe": "classifier",
    "sanity": "true where the three parts are the same adapters: the scores are a sanity check only",
}
_COUNTED = {
    "test_adapters": "adapters of the test part",
    "test_units": "independent units among them: adapters, or groups",
}
_EFFECTS = {
    "cohen_h": "effect size of the two accuracies, Cohen's h: 0.2 small, 0.5 medium, 0.8 large",
    "cohen_dz": "effect size of the paired difference over units, Cohen's d_z; empty where all are equal",
}
_LAYER = {
    "block": "block of the UNet",
    "attention": "attn1 (self-attention) or attn2 (cross-attention)",
    "projection": "projection inside the attention",
    "learners": "adapters of training and validation part, which are left out in turn",
    "learner_units": "independent units among them: adapters, or groups",
    "folds": "parts of the learners that were left out in turn; 1: all were asked about what they taught",
}
_LEFT_OUT = {
    "accuracy": "accuracy of these layers alone on left-out learners",
    "accuracy_low": "lower end of its 95 % interval over learners",
    "accuracy_high": "its upper end",
}
_DROP = {
    "reference": "layer set that is compared with",
    "layer_set": "layer set that is compared",
    "reference_accuracy": "test accuracy with the reference, mean over the common seeds",
    "accuracy": "test accuracy with the layer set, mean over the common seeds",
    "drop": "reference_accuracy − accuracy; negative is a gain",
    "drop_low": "lower end of the drop's 95 % test-set interval",
    "drop_high": "its upper end",
    "drop_method": "method of the interval: adjusted-wald",
    "relative_drop": "drop over reference_accuracy; empty where that is 0",
    "relative_drop_low": "lower end of its 95 % test-set interval (Fieller); empty where the reference's "
    "accuracy cannot be told from 0",
    "relative_drop_high": "its upper end",
    "p": "two-sided p of the exact sign-flip test over units; with one seed the exact McNemar test",
    **_EFFECTS,
    **_COUNTED,
}
_CHANGES = {
    "signs": "signs of components flipped",
    "rescaling": "(cB, A / c), one c an adapter",
    "basis": "(BG⁻¹, GA), one random G an adapter",
    "refactoring": "factors U√S and √SVᵀ of the singular value decomposition",
    "padding": "a component of zeros added; empty where the representation does not take another rank",
    "float16": "factors rounded to float16",
    "int8": "factors rounded to 255 levels",
}
_COLUMNS: dict[str, dict[str, str]] = {
    "passport": {
        "section": "part of the passport, as in docs/passport.md",
        "fact": "path inside the section",
        "value": "the fact, where it is a number or true (1) and false (0)",
        "text": "the fact, where it is a word",
    },
    "controls": {
        "control": "majority, norms, recipe, recipe_and_losses or permuted (docs/passport.md)",
        "layer_set": "layers that it is of; empty where layers have no part in it",
        "representation": "features that it is of; empty where it sees none",
        "status": "passed; failed, where the control does as well as the study (permuted: better than "
        "chance); vacuous, where there is nothing to control; missing",
        "reason": "why it did not pass",
        "classifier": "classifier that validation chose",
        "draws": "permuted labels; 1 for the other controls",
        "accuracy": "test accuracy, mean over draws",
        "accuracy_std": "its standard deviation (n−1) over draws",
        "accuracy_low": "lower end of its 95 % test-set interval",
        "accuracy_high": "its upper end",
        "chance": "test accuracy of always naming the training part's most frequent class",
        "best_layer_set": "layer set of the cell that the control is compared with: the best by validation, "
        "on the same layer set where the control has one",
        "best_representation": "its representation",
        "best_probe": "its probe",
        "best_accuracy": "its accuracy on the same adapters",
        "difference": "best_accuracy − accuracy",
        "difference_low": "lower end of its 95 % test-set interval",
        "difference_high": "its upper end",
        "p": "two-sided p of the sign-flip test of the difference, not corrected; permuted: one-sided p that "
        "the accuracy averaged over classes is above 1 / classes",
        "p_holm": "permuted: p, Holm-corrected over all representations and layer sets",
        "test_adapters": "adapters that the control was tested on: of the test part, at most 1,000",
        "test_units": _COUNTED["test_units"],
    },
    "random_layers": {
        "reference": "layer set that the drops are from",
        "layer_set": "layer set that is judged",
        "status": "more than random, less than random or as random: the layer set's accuracy among those of "
        "random sets of as many layers",
        "layers": "layers in the set",
        "draws": "random sets",
        "reference_accuracy": "test accuracy of ridge on the reference",
        "accuracy": "test accuracy of ridge on the layer set",
        "drop": "reference_accuracy − accuracy",
        "random_accuracy": "test accuracy of ridge on random sets, mean over draws",
        "random_std": "its standard deviation (n−1) over draws",
        "random_low": "lowest of them",
        "random_high": "highest of them",
        "random_drop": "reference_accuracy − random_accuracy",
        "difference": "random_accuracy − accuracy: what the layer set loses beyond random ones",
        "difference_low": "lower end of its 95 % test-set interval",
        "difference_high": "its upper end",
        "p": "two-sided p that the layer set's accuracy is one more of theirs (Student's t)",
        "p_holm": "the same, Holm-corrected over the rows; it decides the status",
        "rank_p": "two-sided exact p of the layer set's rank among the random sets; not corrected",
        "test_adapters": "adapters that ridge was tested on: of the test part, at most 1,000",
        "test_units": _COUNTED["test_units"],
    },
    "invariance": {
        "invariant": "whether every change that leaves ΔW alone stays within its tolerance; empty: unknown",
        "claimed": "whether the representation claims that",
        "holds": "whether all that it claims stays within its tolerance, roundings too; empty: unknown",
        **{f"drift_{change}": f"drift under: {_CHANGES[change]}" for change in CHANGES},
        "reason": "why something is not measurable; empty where all is",
        "adapters": "training adapters that were changed, at most",
    },
    "runs": {
        **_METRICS,
        "seed": "seed of the run",
        "foreign_auroc": "area under the ROC curve that tells test adapters of a class left out of training, "
        "mean over the classes; 0.5 knows nothing; empty for probes other than class_means",
        "temperature": "that the log-probabilities of the run were divided by; fitted to the validation part",
        "features": "number of feature columns",
        "layers": "number of layers in the set",
    },
    "cells": {
        "status": "done, partial (some blocks of seeds), failed or missing",
        "reason": "why it is not done: the log's last error, or the first file that is not there",
        "seeds": "runs that there are",
        "features": "number of feature columns",
        "layers": "number of layers in the set",
        **{f"{name}_mean": f"{text}; mean over seeds" for name, text in _METRICS.items()},
        **{f"{name}_std": "its standard deviation (n−1) over seeds" for name in _METRICS},
        **{f"{name}_values": "its values, seed by seed" for name in _METRICS},
        "test_accuracy_seeds_low": "lower end of the 95 % interval over seeds",
        "test_accuracy_seeds_high": "its upper end",
        "test_accuracy_adapters_low": "lower end of the 95 % test-set interval",
        "test_accuracy_adapters_high": "its upper end",
        "test_accuracy_adapters_method": "its method: wilson",
        "train_test_gap": "mean training accuracy − mean test accuracy",
        "validation_test_gap": "mean validation accuracy − mean test accuracy",
        "chance": "test accuracy of always naming the training part's most frequent class",
        "cohen_h_over_chance": "effect size of the test accuracy over chance, Cohen's h",
        "permutation_mean": "accuracy of the same answers under permuted labels, mean over the permutations",
        "permutation_high": "97.5 % quantile of that",
        "permutation_p": "one-sided p of the accuracy under permuted labels",
        "permutation_p_holm": "the same, Holm-corrected over all cells",
        "permutation_unit": "what the labels were permuted among: adapter or group",
        **_COUNTED,
    },
    "drops": {
        "status": "status of the less finished side",
        "reason": "why there is no drop",
        **_DROP,
        "p_holm": "p, Holm-corrected over the representations of one probe and layer set",
        "seeds": "seeds that both sides have",
        "seeds_drop_mean": "drop of the reported accuracies, mean over the common seeds",
        "seeds_drop_std": "its standard deviation (n−1) over seeds",
        "seeds_drop_low": "lower end of its 95 % interval over seeds",
        "seeds_drop_high": "its upper end",
        "seeds_drop_values": "its values, seed by seed",
    },
    "mean_drops": {
        **_DROP,
        "representations": "representations that are averaged, each with the same weight",
        "p_holm": "p, Holm-corrected over the rows",
    },
    "comparisons": {
        "representation": "the more accurate representation",
        "other": "the less accurate one",
        "accuracy": "test accuracy of the former, mean over the common seeds",
        "other_accuracy": "test accuracy of the latter",
        "difference": "accuracy − other_accuracy",
        "difference_low": "lower end of its 95 % test-set interval",
        "difference_high": "its upper end",
        "difference_method": "method of the interval: adjusted-wald",
        "p": _DROP["p"],
        "p_holm": "p, Holm-corrected over the pairs of one layer set and probe",
        "seeds": "seeds that both have",
        **_EFFECTS,
        **_COUNTED,
    },
    "curves": {
        "epoch": "epoch, from 1",
        "seeds": "seeds that still trained in this epoch",
        **{f"{name}_mean": f"{_CURVES[name]}; mean over these seeds" for name in CURVES},
        **{f"{name}_std": "its standard deviation (n−1)" for name in CURVES},
    },
    "confusions": {
        "part": "validation or test",
        "truth": "true class",
        "predicted": "class that the probe names",
        "adapters": "adapters, mean over seeds",
        "share": "the same, as a share of the true class",
    },
    "classes": {
        "class": "true class",
        "adapters": "test adapters of the class",
        **{f"{name}_mean": f"{_PER_CLASS[name]}; mean over seeds" for name in PER_CLASS},
        **{f"{name}_std": "its standard deviation (n−1) over seeds" for name in PER_CLASS},
        "recall_adapters_low": "lower end of the recall's 95 % test-set interval",
        "recall_adapters_high": "its upper end",
    },
    "reliability": {
        "part": "validation or test",
        "low": "lower edge of the bin of the named class's probability",
        "high": "its upper edge, which belongs to the bin",
        "adapters": "adapters in the bin, mean over seeds",
        "confidence": "mean probability of the named class in the bin, all seeds pooled",
        "accuracy": "share of right answers in the bin, all seeds pooled",
        "accuracy_low": "lower end of its 95 % interval over the units in the bin, not over seeds",
        "accuracy_high": "its upper end",
    },
    "answers": {
        "adapter": "id of the test adapter",
        "class": "its true class",
        "unit": "number of the unit that it belongs to",
        "hits": "seeds that name the class",
        "seeds": "seeds of the cell",
    },
    "layers": {
        **_LAYER,
        "layer": "path of the layer",
        "rank": "place by `accuracy`, 1 is the best; equal ones share the better place",
        "rank_low": "lower end of the place's interval (at least 95 %): 1 + layers measurably better",
        "rank_high": "its upper end: layers that are not measurably worse",
        **_LEFT_OUT,
        "test_accuracy": "accuracy on the test part, learnt from all learners; it decides nothing",
        "test_accuracy_low": "lower end of its 95 % test-set interval",
        "test_accuracy_high": "its upper end",
        "penalty": "penalty that leaving one learner out at a time chose",
        **_COUNTED,
    },
    "layer_groups": {
        **_LAYER,
        "layers": "layers of the group",
        **_LEFT_OUT,
        "loss": "accuracy of all layers − accuracy of all but this group, on left-out learners",
        "loss_low": "lower end of its 95 % interval over learners; empty where there is no other group",
        "loss_high": "its upper end",
        "p": "two-sided p of the exact sign-flip test of the loss",
        "p_holm": "the same, Holm-corrected over the groups",
        "test_accuracy": "accuracy of the group alone on the test part",
    },
    "layer_ablations": {
        "question": "keep (only these layers), remove (all but these), or all",
        "choice": "best (by the ranking) or random",
        "k": "number of layers that are kept, or removed",
        "draws": "choices that are averaged",
        "chosen": "the layers that are kept, or removed; empty where several choices are averaged",
        "test_accuracy": "accuracy on the test part, mean over the choices",
        "test_accuracy_low": "lower end of its 95 % test-set interval",
        "test_accuracy_high": "its upper end",
        "lowest": "the least accurate of the choices",
        "highest": "the most accurate",
        "loss": "test accuracy of all layers − test_accuracy",
        "loss_low": "lower end of its 95 % test-set interval",
        "loss_high": "its upper end",
        "p": "two-sided p of the exact sign-flip test of the loss",
        "p_holm": "the same, Holm-corrected over the rows of the table",
        "over_random": "test_accuracy − that of as many layers chosen at random",
        "over_random_low": "lower end of its 95 % test-set interval",
        "over_random_high": "its upper end",
        **_COUNTED,
    },
    "adapter_map": {
        "adapter": "id of the adapter",
        "class": "its class",
        "part": "train, validation, test, or all",
        "x": "place along the training part's first kernel principal component",
        "y": "place along the second",
        "x_variance": "share of the training part's variance along x",
        "y_variance": "the same along y",
    },
    "sizes": {
        "fraction": "share of the training part that the probe was trained on",
        "train_adapters": "adapters in the share (at least one of every class)",
        "seeds": "draws of the share, one run each; for one seed a smaller share lies in a larger one",
        **{f"{part}_accuracy_mean": f"{_METRICS[f'{part}_accuracy']}; mean over seeds" for part in _PARTS},
        "test_accuracy_adapters_low": "lower end of the 95 % test-set interval",
        "test_accuracy_adapters_high": "its upper end",
        "seconds_mean": "wall-clock seconds of a run; mean over seeds",
        **{
            f"{name}_std": "its standard deviation (n−1)"
            for name in (*(f"{p}_accuracy" for p in _PARTS), "seconds")
        },
        "chance": "test accuracy of always naming the most frequent class of the training part",
        "test_adapters": "adapters in the test part",
        "test_units": "independent units among them: adapters, or groups",
    },
}

_HEAD = """\
# Metrics

Every column of `results/studies/<study>/<data set>/summary/`. Each table is there as parquet and as CSV;
`results.json` holds all of them but `answers`. Shares are fractions between 0 and 1, times are seconds,
losses are nats. An empty value (`null`) means that there is no such number, never zero. This page is made by
`python -m lorascope.stats.dictionary > docs/metrics.md`.

Two uncertainties are never mixed up. `…_std`, `…_seeds_low` and `…_seeds_high` are over **seeds**: the luck
of a training run. `…_adapters_low`, `…_adapters_high` and the intervals of drops and differences are over the
**test adapters** (or groups of them): what other adapters might have scored. How often each kind of interval
holds the truth is measured: [coverage](coverage.md).
"""
_PRACTICE = {
    "split by concept": "`group` in the data set's settings: no group lies in two parts, and groups are the "
    "units of all intervals and tests",
    "overlap of images": "`passport` counts images, groups, concepts and equal updates that two parts share; "
    "groups tie adapters of one image source",
    "leakage controls": "`controls`: norms, recipe, permuted labels; permutation baseline in `cells`",
    "uncertainty": "interval over seeds, test-set interval, permutation p, Holm over every family but those "
    "named under Methods; measured coverage: [coverage](coverage.md); spread over folds: not applicable to a "
    "fixed split",
    "paired comparison": "`drops` (layer sets), `comparisons` (representations): same adapters, same seeds",
    "layer arms": "one row in `drops` per layer set of the study; `random_layers` holds as many random ones",
    "calibration": "ECE, Brier, log-likelihood, `reliability`, at each run's `temperature`; conformal sets "
    "of new files (`lorascope predict`), calibrated on the test part; abstention: not computed",
    "robustness": "`invariance`: refactoring, float16 and int8 on the study's own adapters",
    "learning curve over data-set sizes": "`sizes`: nested shares of the training part; "
    "several data sets side by side by the target `scaling`",
    "further targets": "a study each: the label is a setting of the data set",
}


def describe(table: str, column: str) -> str:
    """What a column of a table means.

    Raises:
        KeyError: there is no such table or column.
    """
    own = _COLUMNS[table]
    return own[column] if column in own else _IDENTITY[column]


def described(table: str) -> set[str]:
    """Names of the columns that a table's words are for."""
    return set(_COLUMNS[table])


def markdown() -> str:
    """The text of docs/metrics.md."""
    parts = [_HEAD, _methods()]
    for table, (row, schema) in TABLES.items():
        parts.append(f"## `{table}`\n\nOne row a {row}.\n\n{_table(_lines(table, schema))}")
    practice = _table(list(_PRACTICE.items()), ("expectation", "here"))
    parts.append(f"## What the field expects of an evaluation\n\n{practice}")
    return "\n".join(parts)


def _methods() -> str:
    lines = [(name.replace("_", " "), text) for name, text in METHODS.items()]
    return f"## Methods\n\n{_table(lines, ('what', 'how'))}"


def _lines(table: str, schema: pa.Schema) -> list[tuple[str, str]]:
    # Mean, deviation and values of one metric are three columns of one meaning: one line.
    names = [
        name for name in schema.names if not name.endswith(("_std", "_values")) or not _of_mean(name, schema)
    ]
    return [(_column_words(name, schema), describe(table, name)) for name in names]


def _column_words(name: str, schema: pa.Schema) -> str:
    stem = name.removesuffix("_mean")
    others = [f"{stem}{suffix}" for suffix in ("_std", "_values") if name.endswith("_mean")]
    return ", ".join(f"`{column}`" for column in (name, *others) if column in schema.names)


def _of_mean(name: str, schema: pa.Schema) -> bool:
    return f"{name.removesuffix('_std').removesuffix('_values')}_mean" in schema.names


def _table(lines: list[tuple[str, str]], head: tuple[str, str] = ("column", "meaning")) -> str:
    rows = [f"| {first} | {second} |" for first, second in lines]
    return "\n".join(["| {} | {} |".format(*head), "| --- | --- |", *rows, ""])


if __name__ == "__main__":
    print(markdown(), end="")
