"""The probes `fusion` and `class_means` against scikit-learn and on data whose truth is known."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from lorascope.probes.classifiers.class_means import ClassMeans, foreign_auroc
from lorascope.probes.classifiers.fusion import candidates, column_groups
from lorascope.probes.registry import run_probe
from lorascope.probes.runs import Part
from lorascope.study.config import load_section

STEM = "{}.attentions.0.transformer_blocks.0.attn1.to_q.delta/f{}"
COLUMNS = tuple(STEM.format(block, i) for i in range(4) for block in ("mid_block", "down_blocks.0"))


def blobs(classes=4, spread=0.5, seed=0, offset=3.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (classes, len(COLUMNS)))
    parts = {}
    for name, n in {"train": 80, "validation": 24, "test": 40}.items():
        own = np.arange(n) % classes
        values = centres[own] + spread * rng.normal(size=(n, len(COLUMNS))) + offset
        parts[name] = Part(values.astype(np.float32), own, COLUMNS)
    return parts


def run(name, parts, **changed):
    n_classes = int(parts["train"].classes.max()) + 1
    return next(iter(run_probe(name, parts, n_classes, load_section(name, changed), [0])))


def test_columns_go_to_their_group():
    mid, down = column_groups(COLUMNS, "block")
    assert (mid.tolist(), down.tolist()) == ([0, 2, 4, 6], [1, 3, 5, 7])


def test_fusion_is_the_mean_of_ridges():
    parts = blobs()
    (candidate,) = candidates(parts, {"groups": "block", "penalties": [0.5]}, 0)
    train, targets = parts["train"], 2.0 * np.eye(4)[parts["train"].classes] - 1
    scores = []
    for own in column_groups(COLUMNS, "block"):
        x = train.features[:, own].astype(np.float64)
        unit = np.square(x - x.mean(axis=0)).sum() / len(x)
        scores.append(Ridge(alpha=0.5 * unit).fit(x, targets).predict(parts["test"].features[:, own]))
    expected = np.mean(scores, axis=0)
    found = candidate.log_probabilities["test"]
    # Differences of log-probabilities are those of the scores.
    found, expected = (x - x[:, :1] for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_loud_group_does_not_drown_the_other():
    parts = blobs(spread=0.3)
    noise = np.random.default_rng(1)
    for part in parts.values():
        part.features[:, 1::2] = 1000 * noise.normal(size=(len(part.classes), 4))
    done = run("fusion", parts)
    assert (done.log_probabilities["test"].argmax(axis=1) == parts["test"].classes).mean() > 0.8


def test_class_means_are_a_discriminant_analysis_with_a_shrunk_covariance():
    parts = blobs()
    train, test = parts["train"], parts["test"].features.astype(np.float64)
    model = ClassMeans.fit(train.features, train.classes, len(COLUMNS))
    covariance = model.axes.T @ np.linalg.inv(model.precision) @ model.axes
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.25] * 4)
    theirs.fit(train.features.astype(np.float64), train.classes)
    theirs.coef_ = np.linalg.solve(covariance, theirs.means_.T).T
    theirs.intercept_ = -0.5 * np.diag(theirs.means_ @ theirs.coef_.T) + np.log(0.25)
    weights, bias = model.linear()
    ours = test @ weights + bias
    np.testing.assert_allclose(
        ours - ours[:, :1], theirs.decision_function(test) - theirs.decision_function(test)[:, :1], atol=1e-3
    )
    distances = model.distances(test)
    np.testing.assert_allclose(-0.5 * (distances - distances[:, :1]), ours - ours[:, :1], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_class_means_learn(classes):
    parts = blobs(classes)
    done = run("class_means", parts)
    assert (done.log_probabilities["test"].argmax(axis=1) == parts["test"].classes).mean() > 0.9
    assert done.chosen["components"] in (20, 50, 100)


def test_what_was_never_shown_is_far_from_every_mean():
    assert foreign_auroc(blobs(spread=0.2), 8) > 0.95
    drawn = blobs(spread=1.0)
    same = {
        name: Part(np.random.default_rng(3).normal(size=p.features.shape).astype(np.float32), p.classes)
        for name, p in drawn.items()
    }
    assert 0.3 < foreign_auroc(same, 8) < 0.7
    assert foreign_auroc(blobs(2), 8) is None
