"""Progress bars on stderr for steps that take long; nothing at all where stderr is not a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar on by so many of ``total``."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


def watched(source, advance: Callable[[int], None]):
    """Return a source of adapters that moves a bar on with each batch it hands out."""

    def batches():
        for batch in source.batches():
            yield batch
            advance(len(next(iter(batch.values()))))

    return replace(source, batches=batches)


def watch_blocks(blocks, advance: Callable[[int], None]):
    """Return extraction's ``blocks`` so that they move a bar on by the rows of each matrix."""

    def watched(weights, start: int, stop: int):
        for block in blocks(weights, start, stop):
            yield block
            rows = block[1]
            advance(rows.stop - rows.start)

    return watched
