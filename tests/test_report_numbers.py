"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorascope.report.numbers import decimal, interval, percent, points, share

NEAR_NOTHING = st.floats(-0.02, 0.02)


@given(NEAR_NOTHING, NEAR_NOTHING)
def test_nothing_has_no_sign(value, other):
    for told in (share(value), percent(value), points(value), decimal(value), interval(value, other)):
        for number in told.strip("[]").replace(" %", "").replace(" points", "").split(", "):
            assert "-" not in number
            assert float(number.replace("−", "-")) != 0 or "−" not in number


@pytest.mark.parametrize(
    ("value", "words"), [(-0.0004, "0.0 %"), (-0.0006, "−0.1 %"), (0.4137, "41.4 %"), (None, "–")]
)
def test_per_cents(value, words):
    assert percent(value) == words
