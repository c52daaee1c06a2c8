"""Answers of a layer ranking, and a map, written by hand in exactly the files that their steps write."""

import numpy as np
import pyarrow as pa

from lorascope.files import write_table
from lorascope.probes.importance import ANSWERS_SCHEMA

STEM = "{}.attentions.0.transformer_blocks.0.{}"
GOOD, FAIR, POOR = (
    STEM.format(*place)
    for place in (("mid_block", "attn2.to_v"), ("down_blocks.0", "attn1.to_q"), ("up_blocks.1", "attn1.to_v"))
)
LEARNERS, TESTED = 240, 60


def answer(question, layers, share, choice="", k=None, folds=True):
    """A row of answers of which a share is right: the first ones, so that rows overlap as they can."""
    return {
        "question": question,
        "choice": choice,
        "k": k,
        "layers": list(layers),
        "penalty": 1.0,
        "right_folds": (np.arange(LEARNERS) < round(share * LEARNERS)).tolist() if folds else None,
        "right_test": (np.arange(TESTED) < round(share * TESTED)).tolist(),
    }


def analyses(folder, unit_size=1):
    rows = [answer("all", (FAIR, GOOD, POOR), 0.9)]
    rows += [answer("layer", [layer], share) for layer, share in ((FAIR, 0.5), (GOOD, 0.8), (POOR, 0.1))]
    rows += [answer("group", [layer], share) for layer, share in ((FAIR, 0.5), (GOOD, 0.8), (POOR, 0.1))]
    for rest, share in (((GOOD, POOR), 0.9), ((FAIR, POOR), 0.6), ((FAIR, GOOD), 0.9)):
        rows.append(answer("without group", rest, share))
    for question, best, random in (("keep", [GOOD], [POOR]), ("remove", [FAIR, POOR], [GOOD, POOR])):
        score = {"keep": (0.8, 0.2), "remove": (0.5, 0.9)}[question]
        rows.append(answer(question, best, score[0], "best", 1, folds=False))
        rows += [answer(question, random, score[1] + move, "random", 1, folds=False) for move in (-0.1, 0.1)]
    about = {"settings": {"representation": "delta_gram"}}
    write_table(folder / "answers.parquet", pa.Table.from_pylist(rows, ANSWERS_SCHEMA), about)
    units = np.arange(LEARNERS) // unit_size
    folds = {"adapter": [f"a{i}" for i in range(LEARNERS)], "unit": units, "fold": units % 5}
    write_table(folder / "folds.parquet", pa.table(folds))
    files = {name: str(folder / f"{name}.parquet") for name in ("answers", "folds")}
    return {"importance": {"files": files, "log": str(folder / "importance.log")}}


def placed(folder):
    """A map of two adapters."""
    places = {"adapter": ["a", "b"], "label": ["airplane", "bird"], "split": ["train", "test"]}
    places |= {"x": [0.5, -0.5], "y": [0.0, 1.0]}
    write_table(folder / "map.parquet", pa.table(places), {"variance": [0.4, 0.2]})
    return {"adapter_map": {"files": {"map": str(folder / "map.parquet")}, "log": "none"}}
