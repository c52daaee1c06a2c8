"""Controls: on data whose class is in the norms, in the recipe, in some layers, or nowhere."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import RidgeClassifier

from data_sets import LAYERS, make_data_set, random_factors
from lorascope.controls import few
from lorascope.controls.few import majority, norms, recipe
from lorascope.controls.layers import LayerControls
from lorascope.controls.parts import MOST, read_split
from lorascope.controls.ridge import inner_products, ridge_answers
from lorascope.controls.run import CONTROLS, certify_representations, run_controls
from lorascope.data.split import PARTS, TEST, TRAIN, VALIDATION
from lorascope.features.extract import FeatureFile, extract
from lorascope.files import read_json, read_metadata, read_table, write_table
from lorascope.passport.passport import write_passport
from lorascope.passport.scan import open_groups
from lorascope.probes.scaling import Scaling

N = 120
LABELS = ["cat", "dog", "ship"] * (N // 3)
PENALTIES = [0.1, 10.0, 1000.0]
CODES = np.arange(N) % 3


def prepared(folder, factors, **columns):
    data, labels = make_data_set(folder, factors, LABELS, **columns)
    write_passport(data, labels, folder / "passport")
    return data, str(labels / "adapters.parquet"), str(folder / "passport" / "norms.parquet")


def accuracy(row):
    return np.mean(row["correct"])


def test_norms_tell_a_class_that_is_in_the_size_alone(tmp_path):
    factors = random_factors(N)
    for _, up in factors.values():
        up *= (1 + CODES)[:, None, None]
    _, adapters, sizes = prepared(tmp_path, factors)
    split = read_split(adapters)
    (row,) = norms(sizes, {"all": LAYERS}, split, PENALTIES)
    assert accuracy(row) > 0.9
    assert (row["layers"], row["features"]) == (len(LAYERS), 3 * len(LAYERS))
    assert accuracy(majority(split)) == pytest.approx(1 / 3, abs=0.1)


def test_norms_tell_nothing_where_sizes_do_not(tmp_path):
    _, adapters, sizes = prepared(tmp_path, random_factors(N))
    (row,) = norms(sizes, {"all": LAYERS}, read_split(adapters), PENALTIES)
    assert accuracy(row) < 0.7


def test_a_recipe_that_differs_by_class_is_found_also_where_it_is_not_linear(tmp_path):
    # The middle class has the extreme numbers of steps.
    steps = np.where(CODES == 1, np.where(np.arange(N) % 2, 10, 90), 40 + 20 * (CODES == 2))
    _, adapters, _ = prepared(
        tmp_path, random_factors(N), steps=steps, loss=np.random.default_rng(0).random(N)
    )
    rows = {row["control"]: row for row in recipe(adapters, read_split(adapters), PENALTIES)}
    assert set(rows) == {"recipe", "recipe_and_losses"}
    assert accuracy(rows["recipe"]) == 1
    assert rows["recipe"]["chosen"] == "forest"


def test_a_constant_recipe_has_no_control(tmp_path):
    _, adapters, _ = prepared(tmp_path, random_factors(N), steps=[50] * N, seed=list(range(N)))
    assert list(recipe(adapters, read_split(adapters), PENALTIES)) == []


def features_of(n_features, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, n_features)).astype(np.float32), np.arange(n_features) % 4


def split_of(tmp_path, labels=LABELS):
    table = pa.table({"label": labels, "split": (["train"] * 7 + ["validation"] + ["test"] * 2) * (N // 10)})
    write_table(tmp_path / "adapters.parquet", table)
    return read_split(str(tmp_path / "adapters.parquet"))


UNEQUAL = ["cat" if index % 7 else "dog" for index in range(N - 40)] + ["ship", "dog"] * 20


@pytest.mark.parametrize("classes", [LABELS, UNEQUAL], ids=["equal classes", "unequal classes"])
@pytest.mark.parametrize("members", [[0], [1, 3], [0, 1, 2, 3]])
def test_inner_products_and_ridge_are_those_of_scikit_learn(tmp_path, members, classes):
    features, layer_of = features_of(60)
    features += CODES[:, None] * np.linspace(0, 1, 60)
    split = split_of(tmp_path, classes)
    own = features[:, np.isin(layer_of, members)]
    scaling = Scaling.fit(own[split.rows[TRAIN]])
    scaled = {part: scaling.apply(own[rows]) for part, rows in split.rows.items()}
    (products,) = inner_products(features, layer_of, [np.array(members)], split)
    for part in PARTS:
        np.testing.assert_allclose(products[part], scaled[part] @ scaled[TRAIN].T, rtol=1e-3, atol=1e-3)
    labels = {part: split.classes[part][None] for part in (TRAIN, VALIDATION)}
    for penalty in PENALTIES:
        right, accuracies, _ = ridge_answers(products, labels, split.classes[TEST], 3, [penalty])
        model = RidgeClassifier(alpha=penalty).fit(scaled[TRAIN], split.classes[TRAIN])
        assert right[0].tolist() == (model.predict(scaled[TEST]) == split.classes[TEST]).tolist()
        assert accuracies[0] == model.score(scaled[VALIDATION], split.classes[VALIDATION])


def test_validation_chooses_the_penalty_and_the_test_part_has_no_say(tmp_path):
    features, layer_of = features_of(200)
    split = split_of(tmp_path)
    labels = {part: split.classes[part][None] for part in (TRAIN, VALIDATION)}
    (products,) = inner_products(features, layer_of, [np.arange(4)], split)
    _, accuracies, chosen = ridge_answers(products, labels, split.classes[TEST], 3, PENALTIES)
    others = ridge_answers(products, labels, (split.classes[TEST] + 1) % 3, 3, PENALTIES)
    assert (accuracies.tolist(), chosen) == (others[1].tolist(), others[2])
    alone = [ridge_answers(products, labels, split.classes[TEST], 3, [each])[1][0] for each in PENALTIES]
    assert len(set(alone)) > 1
    assert (accuracies[0], chosen[0]) == (max(alone), PENALTIES[int(np.argmax(alone))])


def test_validation_chooses_the_classifier_of_few_numbers_and_training_its_scale(tmp_path):
    features, _ = features_of(6)
    features += CODES[:, None] * np.linspace(0, 0.5, 6)
    split = split_of(tmp_path)
    expected = few._best("norms", "all", features, split, PENALTIES)
    relabelled = replace(split, classes=split.classes | {TEST: (split.classes[TEST] + 1) % 3})
    found = few._best("norms", "all", features, relabelled, PENALTIES)
    assert [found[name] for name in ("chosen", "validation_accuracy")] == [
        expected[name] for name in ("chosen", "validation_accuracy")
    ]
    # One adapter of the test part, as far away as it likes, moves nothing but its own answer.
    far = features.copy()
    far[split.rows[TEST][0]] = 1e6
    found = few._best("norms", "all", far, split, PENALTIES)
    assert found["validation_accuracy"] == expected["validation_accuracy"]
    assert found["correct"][1:] == expected["correct"][1:]


class Overheard(LayerControls):
    """Keeps the labels that ridge is fitted to."""

    def _ridge(self, products, labels):
        self.labels = labels
        return super()._ridge(products, labels)


def test_permuted_labels_are_permuted_in_both_parts_that_are_learnt_from(tmp_path):
    _, adapters, _, files = stored(tmp_path, random_factors(N), "matrix_norms")
    split = read_split(adapters)
    controls = Overheard({"all": LAYERS}, split, PENALTIES, 4)
    list(controls.answers("matrix_norms", files, ["permuted"]))
    for part in (TRAIN, VALIDATION):
        truth = split.classes[part]
        assert len(controls.labels[part]) == 4
        for labels in controls.labels[part]:
            assert (labels != truth).any()
            assert sorted(labels) == sorted(truth)


def test_random_sets_hold_as_many_layers_each_once(tmp_path):
    sets = {"all": LAYERS, "half": LAYERS[:6], "one": LAYERS[3:4]}
    drawn = list(LayerControls(sets, split_of(tmp_path), PENALTIES, 5)._random_sets())
    assert [(name, draw) for _, name, draw, _ in drawn] == [(n, d) for n in ("half", "one") for d in range(5)]
    for _, name, _, members in drawn:
        assert len(set(members.tolist())) == len(sets[name])


def stored(tmp_path, factors, representation="stats"):
    data, adapters, sizes = prepared(tmp_path, factors)
    files = []
    for weights in open_groups(data):
        path = tmp_path / f"{weights.path.stem}.parquet"
        extract(weights, [FeatureFile(representation, path, {})])
        files.append(path)
    return data, adapters, sizes, files


def test_random_layers_and_permuted_labels(tmp_path):
    factors = random_factors(N)
    visual = [layer for layer in LAYERS if "attn1" in layer]
    for place, layer in enumerate(visual):
        factors[layer][1][place % 3 == CODES] *= 3
    _, adapters, _, files = stored(tmp_path, factors, "matrix_norms")
    controls = LayerControls({"all": LAYERS, "visual": visual}, read_split(adapters), PENALTIES, 10)
    rows = list(controls.answers("matrix_norms", files, CONTROLS))
    scores = {}
    for row in rows:
        scores.setdefault((row["control"], row["layer_set"]), []).append(accuracy(row))
    counts = {key: len(values) for key, values in scores.items()}
    assert counts == {
        ("layers", "all"): 1,
        ("layers", "visual"): 1,
        ("permuted", "all"): 10,
        ("permuted", "visual"): 10,
        ("random_layers", "visual"): 10,
    }
    assert scores["layers", "visual"][0] > 0.9
    assert np.mean(scores["permuted", "all"]) < 0.5
    assert {row["layers"] for row in rows if row["control"] == "random_layers"} == {len(visual)}
    again = list(controls.answers("matrix_norms", files, CONTROLS))
    assert again == rows


def test_the_step_writes_answers_and_certificates(tmp_path):
    data, adapters, sizes, files = stored(tmp_path, random_factors(N, rank=2))
    settings = {"controls": list(CONTROLS), "draws": 3, "penalties": PENALTIES}
    lines = list(
        run_controls(adapters, sizes, {"stats": files}, {"all": LAYERS}, settings, tmp_path, {"key": "k"})
    )
    assert any("stats" in line for line in lines)
    metadata = read_metadata(tmp_path / "controls.parquet")
    assert (metadata["key"], metadata["controls"]) == ("k", list(CONTROLS))
    table = read_table(tmp_path / "controls.parquet")
    assert {len(each) for each in table["correct"].to_pylist()} == {len(metadata["tested"])}
    # A layer set of all layers has no other of its size.
    assert set(table["control"].to_pylist()) == {"majority", "norms", "layers", "permuted"}
    list(certify_representations(data, adapters, ["stats", "delta_spectrum", "flat"], tmp_path, {}))
    found = {
        each["representation"]: each for each in read_json(tmp_path / "invariance.json")["representations"]
    }
    assert {name: each["invariant"] for name, each in found.items()} == {
        "stats": False,
        "delta_spectrum": True,
        "flat": False,
    }
    assert all(each["holds"] for each in found.values())
    assert found["flat"]["drifts"]["basis"] > 0.1


def test_controls_that_are_off_are_not_run(tmp_path):
    _, adapters, sizes, files = stored(tmp_path, random_factors(N))
    settings = {"controls": ["norms"], "draws": 3, "penalties": PENALTIES}
    list(run_controls(adapters, sizes, {"stats": files}, {"all": LAYERS}, settings, tmp_path, {}))
    assert read_table(tmp_path / "controls.parquet")["control"].to_pylist() == ["norms"]


def test_large_parts_are_cut_to_size(tmp_path, monkeypatch):
    monkeypatch.setitem(MOST, TRAIN, 20)
    monkeypatch.setitem(MOST, TEST, 10)
    split = split_of(tmp_path)
    assert (len(split.rows[TRAIN]), len(split.rows[TEST])) == (20, 10)
    assert len(set(split.tested.tolist())) == 10
    assert max(split.tested) < 24
