"""The compiled loops of the representations against numpy, scipy and exact arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lorascope.features.batch import MatrixBatch
from lorascope.features.representations import frequency, info_theoretic
from lorascope.features.sums import sums_of_rows

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TINY = st.integers(-5, 5).map(lambda count: count * float(np.finfo(np.float32).smallest_subnormal))
ENTRIES = st.one_of(FINITE, TINY, st.integers(-3, 3).map(float), st.floats(-1, 1, width=32))


def rows(elements=ENTRIES):
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 70))
    return st.one_of(
        hnp.arrays(np.float32, shapes, elements=elements),
        hnp.arrays(np.float32, shapes, elements=elements, fill=elements),
        st.builds(np.full, shapes, elements, st.just(np.float32)),
    )


@given(rows())
@settings(deadline=None)
def test_sums_are_those_of_exact_arithmetic(entries):
    found = sums_of_rows(entries)
    for index, row in enumerate(entries.astype(np.float64)):
        mean = found.entries[index] / row.size
        deviations = row - mean
        terms = (row, abs(row), abs(deviations), deviations**2, deviations**3, deviations**4)
        for name, values, parts in zip(found._fields, found, terms, strict=True):
            assert abs(values[index] - math.fsum(parts)) <= 1e-13 * math.fsum(abs(parts)), name


@given(ENTRIES, st.integers(1, 2000))
@settings(deadline=None)
def test_a_constant_row_has_its_value_as_mean_and_no_deviation(value, size):
    found = sums_of_rows(np.full((1, size), value, np.float32))
    assert found.entries[0] / size == np.float32(value)
    assert [sums[0] for sums in found[2:]] == [0, 0, 0, 0]


@given(rows())
@settings(deadline=None)
def test_opposite_entries_cancel_out(entries):
    found = sums_of_rows(np.concatenate([entries, -entries], axis=1))
    scale = sums_of_rows(np.abs(entries)).absolute
    assert (abs(found.entries) <= 1e-14 * scale).all()


@given(rows())
@example(np.array([[-np.finfo(np.float32).max, np.finfo(np.float32).max]], np.float32))
@example(np.array([[0, np.finfo(np.float32).smallest_subnormal]], np.float32))
@settings(deadline=None)
def test_counts_below_edges_are_those_of_numpy_in_float64(entries):
    batch = MatrixBatch(entries[:, None])
    edges = info_theoretic._edges(batch)
    found = info_theoretic._count_below(batch.sorted_entries, edges)
    expected = [
        np.searchsorted(np.sort(row.astype(np.float64)), edge)
        for row, edge in zip(entries, edges, strict=True)
    ]
    assert np.array_equal(found, expected)
    assert (np.diff(found).sum(axis=1) == entries.shape[1]).all()


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_bins_are_those_of_numpys_histogram(decimals):
    # Whole multiples of a step: many entries lie on the edges of bins.
    entries = np.random.default_rng(decimals).uniform(-25, 25, (40, 1001)).round(decimals).astype(np.float32)
    entries[:, :2] = -25, 25
    batch = MatrixBatch(entries[:, None])
    counts = np.diff(info_theoretic._count_below(batch.sorted_entries, info_theoretic._edges(batch)))
    expected = [np.histogram(row.astype(np.float64), info_theoretic.BINS)[0] for row in entries]
    assert np.array_equal(counts, expected)


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40)), elements=ENTRIES
    )
)
@settings(deadline=None)
def test_magnitudes_are_those_of_the_whole_transform(values):
    top, total, energy = frequency._top_and_sums(values)
    magnitudes = np.abs(np.fft.fft2(values.astype(np.float64))).reshape(len(values), -1)
    expected = np.zeros((len(values), frequency.TOP + magnitudes.shape[1]))
    expected[:, frequency.TOP :] = magnitudes
    expected = -np.sort(-expected, axis=1)[:, : frequency.TOP]
    rounding = 1e-13 * expected[:, :1]
    assert (abs(top - expected) <= rounding).all()
    assert (np.diff(top) <= 0).all()
    assert (abs(total - magnitudes.sum(axis=1)) <= rounding[:, 0] * magnitudes.shape[1]).all()
    np.testing.assert_allclose(energy, (magnitudes**2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, 99])
def test_what_is_not_finite_is_seen_in_every_sum(value, place):
    entries = np.random.default_rng(0).standard_normal((3, 100), dtype=np.float32)
    entries[1, place] = value
    with np.errstate(invalid="ignore"):
        batch, (_, total, energy) = MatrixBatch(entries[:, None]), frequency._top_and_sums(entries[:, None])
        for found in (*sums_of_rows(entries), total, energy, batch.peak):
            assert np.isfinite(found).tolist() == [True, False, True]
        counts = info_theoretic._count_below(batch.sorted_entries, info_theoretic._edges(batch))
    assert ((counts >= 0) & (counts <= 100)).all()
