import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from lorascope.probes.metrics import confusion_matrix, cross_entropy, macro_scores

labels = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1, max_size=60)
    )
)


@given(labels)
def test_scores_equal_scikit_learn(case):
    n_classes, pairs = case
    truth, predicted = np.array(pairs).T
    confusion = confusion_matrix(truth, predicted, n_classes)
    np.testing.assert_array_equal(
        confusion, metrics.confusion_matrix(truth, predicted, labels=range(n_classes))
    )
    scores = macro_scores(confusion)
    occurring = np.unique(truth)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, predicted, labels=occurring, average="macro", zero_division=0
    )
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert scores["precision"] == pytest.approx(precision)
    assert scores["recall"] == pytest.approx(recall)
    assert scores["f1"] == pytest.approx(f1)


def test_cross_entropy_equals_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 30)
    truth = rng.integers(0, 4, 30)
    expected = metrics.log_loss(truth, probabilities, labels=range(4))
    assert cross_entropy(np.log(probabilities), truth) == pytest.approx(expected)
