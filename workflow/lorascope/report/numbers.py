"""How numbers are written for people. None is written as a dash."""

NOTHING = "–"


def share(value: float | None) -> str:
    """0.4137 → "41.4", for a column of per cents or points."""
    return NOTHING if value is None else _signed(value)


def percent(share: float | None) -> str:
    """0.4137 → "41.4 %"."""
    return NOTHING if share is None else f"{_signed(share)} %"


def points(difference: float | None) -> str:
    """0.095 → "9.5 points"."""
    return NOTHING if difference is None else f"{_signed(difference)} points"


def interval(low: float | None, high: float | None) -> str:
    """Two shares → "[34.4, 47.9]", in per cent."""
    return NOTHING if low is None or high is None else f"[{_signed(low)}, {_signed(high)}]"


def decimal(value: float | None) -> str:
    """1.6034 → "1.60"."""
    return NOTHING if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def drift(value: float | None) -> str:
    """0.00034 → "0.0003"; 1100 → "1,100"; what float32 cannot tell from nothing is "0"."""
    if value is None:
        return NOTHING
    if value < 1e-5:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1g}" if value < 0.1 else f"{value:.2g}"


def p_value(p: float | None) -> str:
    """0.0321 → "0.032"; what is too small to matter is "< 0.001"."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seconds(value: float | None) -> str:
    """4000 → "1 h 7 min"."""
    if value is None:
        return NOTHING
    if value < 60:
        return f"{value:.1f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _signed(share: float) -> str:
    # Adding zero turns the -0.0 that rounding leaves into 0.0.
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")
