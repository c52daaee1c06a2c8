"""Which rows of a module's B belong to which canonical layer."""

from lorascope.adapters.atlas.lookup import Place

Rows = tuple[tuple[int, int], ...]


def rows_of(place: Place | None, d_out: int) -> list[Rows | None] | None:
    """Return for each canonical layer the runs of rows it has; None for a layer that has all, in their order.

    None altogether where the rows cannot be shared out among the layers.
    """
    if place is None or (len(place.paths) == 1 and not place.swap):
        return [None]
    if place.swap:
        return [((d_out // 2, d_out), (0, d_out // 2))] if d_out % 2 == 0 else None
    if (parts := place.parts_of(d_out)) is None:
        return None
    starts = [sum(parts[:number]) for number in range(len(parts))]
    return [((start, start + count),) for start, count in zip(starts, parts, strict=True)]
