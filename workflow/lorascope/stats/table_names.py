"""Names of the summary tables, for the workflow: what they hold takes a second to import."""

TABLE_NAMES = (
    "passport",
    "controls",
    "random_layers",
    "invariance",
    "runs",
    "cells",
    "drops",
    "mean_drops",
    "comparisons",
    "curves",
    "confusions",
    "classes",
    "reliability",
    "answers",
    "layers",
    "layer_groups",
    "layer_ablations",
    "adapter_map",
    "sizes",
)
