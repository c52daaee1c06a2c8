"""What differs between two pins of a data set, in words."""

from collections.abc import Iterator

from lorascope.data.hub.pins import Pin
from lorascope.wording import plural


def changes(old: Pin | None, new: Pin) -> Iterator[str]:
    """Yield the lines that say what an update changed."""
    if old is None:
        yield f"{new.path}: {new.commit}, {plural(len(new.files), 'file')}, {new.size:,} bytes"
        return
    if old == new:
        yield f"{new.path}: unchanged, {new.commit}"
        return
    yield f"{new.path}: {old.commit} → {new.commit}"
    before, after = ({file.path: file.digest for file in pin.files} for pin in (old, new))
    for what, names in (
        ("added", [name for name in after if name not in before]),
        ("removed", [name for name in before if name not in after]),
        ("changed", [name for name in after if before.get(name, after[name]) != after[name]]),
    ):
        if names:
            yield f"{plural(len(names), 'file')} {what}: {', '.join(names[:5])}{' …' * (len(names) > 5)}"
    if before == after:
        yield "the same files"
    yield f"{new.size:,} bytes, {old.size:,} before"
    columns = [{**pin.columns, **pin.matrices} for pin in (old, new)]
    for what, names in (("new", columns[1].keys() - columns[0]), ("gone", columns[0].keys() - columns[1])):
        if names:
            yield f"{plural(len(names), 'column')} {what}: {', '.join(sorted(names)[:5])}"
