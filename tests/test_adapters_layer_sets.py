"""Layer groups part the layers; layer sets choose among them."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

import published
from lorascope.adapters.layer_sets import GROUPINGS, group_of, groups_of, select_layers
from lorascope.adapters.names import attention_of

LAYERS = list(published.layers())
CHOSEN = st.lists(st.sampled_from(LAYERS), min_size=1, unique=True)


@pytest.mark.parametrize(("grouping", "count"), [("attention", 2), ("block", 14), ("layer", 64)])
def test_groups_of_the_published_layers(grouping, count):
    groups = groups_of(LAYERS, grouping)
    assert len(groups) == len(set(groups)) == count
    assert set(groups_of(LAYERS, "attention")) == {"attn1", "attn2"}


@given(CHOSEN, st.sampled_from(GROUPINGS))
def test_every_layer_is_in_exactly_one_group(layers, grouping):
    members = {
        group: [layer for layer in layers if group_of(layer, grouping) == group]
        for group in groups_of(layers, grouping)
    }
    assert all(members.values())
    assert sorted(chain.from_iterable(members.values())) == sorted(layers)


@given(CHOSEN, st.sampled_from(GROUPINGS))
def test_no_group_mixes_self_and_cross_attention(layers, grouping):
    # Else `visual` could not be read without reading `text`.
    for group in groups_of(layers, grouping):
        assert len({attention_of(layer) for layer in layers if group_of(layer, grouping) == group}) == 1


def test_groups_come_in_the_order_of_the_layers():
    assert groups_of(reversed(LAYERS), "layer") == LAYERS[::-1]


def test_group_names_are_safe_as_file_names():
    for grouping in GROUPINGS:
        assert all(
            set(group) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.")
            for group in groups_of(LAYERS, grouping)
        )


def test_an_unknown_grouping_is_refused(refused):
    with refused("grouping: 'blocks' is not known; choose one of attention, block, layer"):
        group_of(LAYERS[0], "blocks")


@pytest.mark.parametrize(
    ("patterns", "count"),
    [
        ("*", 64),
        ("*.attn1.*", 32),
        (["*.attn1.*", "*.attn2.to_q"], 48),
        (["*.attn1.*", "*.attn1.to_q"], 32),
        ("mid_block.*", 4),
        ("up_blocks.[23].*", 24),
        ("down_blocks.?.*.to_v", 12),
        (LAYERS[5], 1),
    ],
)
def test_patterns(patterns, count):
    chosen = select_layers(LAYERS, patterns)
    assert len(chosen) == count
    assert chosen == [layer for layer in LAYERS if layer in set(chosen)]


def test_visual_and_text_part_the_layers():
    visual, text = select_layers(LAYERS, "*.attn1.*"), select_layers(LAYERS, "*.attn2.*")
    assert sorted(visual + text) == sorted(LAYERS)
    assert not set(visual) & set(text)


def test_no_match_is_refused_with_an_example(refused):
    with refused(r"mine: layer set 'ff': no layer matches '\*\.ff\.\*' or 'ff'; layers: down_blocks"):
        select_layers(LAYERS, ["*.ff.*", "ff"], "mine: layer set 'ff'")


def test_no_layers_at_all_is_refused(refused):
    with refused("layer set: no layer matches .*there are no layers"):
        select_layers([], "*")
