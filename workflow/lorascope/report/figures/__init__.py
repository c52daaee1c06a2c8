"""The figures of a study, drawn with matplotlib and saved as SVG, PDF and PNG with reproducible bytes.

A new figure is a function from a summary to a figure, and its :class:`Drawing` in ``DRAWINGS``: everything
else (files, page, captions) follows from the list.
"""

from pathlib import Path

from lorascope.report.figures.answers import CALIBRATION, CLASSES, CONFUSION
from lorascope.report.figures.base import FORMATS, Drawing, save_drawings
from lorascope.report.figures.controls import CONTROLS, RANDOM_LAYERS
from lorascope.report.figures.drops import DROPS
from lorascope.report.figures.layers import ABLATION, LAYERS
from lorascope.report.figures.map import ADAPTER_MAP
from lorascope.report.figures.scores import ACCURACY, COST, F1, PARTS_AND_GAP, PRECISION_RECALL
from lorascope.report.figures.sizes import SIZES
from lorascope.report.figures.training import LEARNING, LOSSES
from lorascope.report.summary import Summary

__all__ = ["DRAWINGS", "FORMATS", "Drawing", "drawings", "save_figures"]

DRAWINGS = (
    *(ACCURACY, F1, CONTROLS, DROPS, RANDOM_LAYERS, PARTS_AND_GAP, PRECISION_RECALL, COST),
    *(LEARNING, LOSSES, CONFUSION, CLASSES, CALIBRATION, SIZES),
    *(LAYERS, ABLATION, ADAPTER_MAP),
)


def drawings(summary: Summary) -> list[Drawing]:
    """Choose the figures that the study has data for."""
    return [drawing for drawing in DRAWINGS if drawing.has_data(summary)]


def save_figures(summary: Summary, folder: str | Path, processes: int = 1) -> dict[str, str]:
    """Draw every figure that the study has data for into ``folder``; return name → SVG text."""
    return save_drawings(drawings(summary), summary, folder, processes)
