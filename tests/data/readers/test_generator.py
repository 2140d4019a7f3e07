"""The made-up set: its truth, what its settings vary and leave alone, and names that are refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from mlcl_utils import data, metrics, runs
from mlcl_utils.data import registry
from mlcl_utils.data.readers import generator
from mlcl_utils.data.readers.generator import Settings, World, frequencies, parse, world
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.training import Recipe

LARGE = Settings(labels=20, examples=40_000, cardinality=4.0)


@pytest.fixture(scope="module")
def large() -> World:
    return world(LARGE)


def test_the_chance_of_a_label_is_true(large: World) -> None:
    for low in (0.0, 0.05, 0.2, 0.5):
        inside = (large.chance >= low) & (large.chance < low + 0.1)
        share, expected = large.labels[inside].mean(), large.chance[inside].mean()
        assert abs(share - expected) < 5 * np.sqrt(expected / inside.sum()) + 1e-4
    assert large.chance.mean() == pytest.approx(4 / 20, rel=0.02)


def test_nothing_ranks_better_than_the_truth_and_what_is_seen_does_worse_by_a_line(large: World) -> None:
    half = len(large.labels) // 2
    scores = {}
    for name, inputs in (("factors", large.factors), ("features", large.features)):
        scores[name] = np.stack(
            [
                LogisticRegression(max_iter=300)
                .fit(inputs[:half], column[:half])
                .decision_function(inputs[half:])
                for column in large.labels.T[:5]
            ],
            axis=1,
        )
    scores["truth"] = large.chance[half:, :5]
    found = {
        name: float(
            metrics.average_precision(large.labels[half:, :5].astype(np.int8), each.astype(np.float32)).mean()
        )
        for name, each in scores.items()
    }
    assert found["truth"] == pytest.approx(found["factors"], abs=0.01)  # labels are linear in the factors
    assert found["features"] < found["truth"] - 0.04  # and not in what is seen


def test_dimensions_of_no_meaning_say_nothing(large: World) -> None:
    nuisance = generator._drawn(LARGE, "nuisance", LARGE.examples, generator.NUISANCE)
    latent = np.concatenate([large.factors, nuisance], axis=1)
    inside = np.abs(np.corrcoef(latent.T, large.labels.T)[: latent.shape[1], latent.shape[1] :])
    assert inside[: generator.FACTORS].max() > 0.2
    assert inside[generator.FACTORS :].max() < 0.03


@settings(deadline=None)
@given(
    st.integers(2, 400),
    st.floats(0.01, 0.5),
    st.sampled_from(["none", "zipf"]),
)
def test_frequencies_fall_and_add_up(labels: int, density: float, imbalance: str) -> None:
    wanted = Settings(labels=labels, cardinality=density * labels, imbalance=imbalance)
    found = frequencies(wanted)
    assert found.sum() == pytest.approx(wanted.cardinality)
    assert (np.diff(found) <= 0).all()
    assert found.max() <= 0.5 + 1e-9
    assert found.min() > 0
    if imbalance == "none":
        assert np.ptp(found) == 0
    elif found[0] < 0.5:
        assert found[0] / found[-1] == pytest.approx(labels)


def _correlations(wanted: Settings) -> tuple[float, float]:
    """Mean correlation of the projections of labels of one cluster, and of different ones."""
    directions = generator._directions(wanted)
    cosines = directions @ directions.T
    number = np.arange(wanted.labels) % generator.CLUSTERS
    together = number[:, None] == number
    np.fill_diagonal(together, False)
    apart = number[:, None] != number
    np.testing.assert_allclose(np.diag(cosines), 1)
    return float(cosines[together].mean()), float(cosines[apart].mean())


def test_correlation_is_that_of_the_labels_of_a_cluster() -> None:
    for wanted in (0.0, 0.5, 0.9):
        inside, across = zip(
            *(_correlations(Settings(labels=200, correlation=wanted, seed=seed)) for seed in range(20)),
            strict=True,
        )
        assert np.mean(inside) == pytest.approx(wanted, abs=0.05)
        assert np.mean(across) == pytest.approx(0, abs=0.05)


def test_what_a_setting_does_not_name_stays() -> None:
    small = Settings(labels=10, examples=200, cardinality=1.0)
    few = world(small)
    more = world(dataclasses.replace(small, examples=500))
    np.testing.assert_array_equal(more.features[:200], few.features)
    np.testing.assert_array_equal(more.labels[:200], few.labels)
    wide = world(dataclasses.replace(small, labels=30, cardinality=3.0))
    np.testing.assert_array_equal(wide.features, few.features)
    np.testing.assert_array_equal(wide.labels[:, :10], few.labels)
    skewed = world(dataclasses.replace(small, imbalance="zipf"))
    np.testing.assert_array_equal(skewed.features, few.features)
    assert skewed.labels[:, 0].sum() > 3 * skewed.labels[:, -1].sum()
    other = world(dataclasses.replace(small, seed=1))
    assert not np.allclose(other.features, few.features, atol=0.1)
    assert np.corrcoef(other.factors.ravel(), few.factors.ravel())[0, 1] == pytest.approx(0, abs=0.1)


def test_a_world_is_the_same_everywhere() -> None:
    """Whoever changes what a world is gives the sets another name: runs on the old ones are not runs on these."""
    made = world(Settings(labels=30, imbalance="zipf", correlation=0.5, seed=3))
    content = made.features.tobytes() + made.labels.tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "b0f84e916e5b1801"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("generator", "generator"),
        ("generator:labels=100:seed=0", "generator"),
        ("generator:seed=2:labels=30", "generator:labels=30:seed=2"),
        ("generator:correlation=0.50:cardinality=2", "generator:cardinality=2:correlation=0.5"),
        ("generator:correlation=0.12345678", "generator:correlation=0.12345678"),
        ("generator:imbalance=zipf:examples=500", "generator:examples=500:imbalance=zipf"),
    ],
)
def test_a_name_has_its_settings_in_one_order(name: str, canonical: str) -> None:
    assert parse(name).name == registry.short_name(name) == canonical
    assert parse(canonical) == parse(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("generator:label=3", "unknown setting of generator 'label'; did you mean 'labels'"),
        ("generator:", "unknown setting of generator ''"),
        ("generator:labels", "generator: labels must be a whole number, was ''"),
        ("generator:labels=3.5", "generator: labels must be a whole number, was '3.5'"),
        ("generator:labels=1", "labels must be a whole number from 2 to 10000, was '1'"),
        ("generator:examples=10", "examples must be a whole number from 50 to 1000000, was '10'"),
        ("generator:seed=-1", "seed must be a whole number from 0"),
        ("generator:imbalance", "imbalance must be none or zipf, was ''"),
        ("generator:imbalance=steep", "imbalance must be none or zipf, was 'steep'"),
        ("generator:correlation=1", "correlation must be a number of at least 0 and below 1, was '1.0'"),
        ("generator:correlation=nan", "correlation must be a number of at least 0 and below 1, was 'nan'"),
        ("generator:cardinality=0", "cardinality must be above 0 and at most 50, half the labels, was '0.0'"),
        ("generator:labels=4", "cardinality must be above 0 and at most 2, half the labels, was '3.0'"),
        (
            "generator:labels=1000:examples=1000000",
            "labels x examples must be at most 50,000,000, to fit into memory",
        ),
        ("generator:seed=1:seed=2", "says seed twice; give it once"),
        ("generatr", "unknown data set 'generatr'; did you mean 'generator'"),
    ],
)
def test_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.load(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_a_data_set_like_any_other(tmp_path: Path) -> None:
    name = "generator:labels=10:examples=300:cardinality=2"
    dataset = data.load(name, tmp_path)
    assert dataset.modality == "features"
    assert (dataset.features.shape, dataset.labels.shape) == ((300, generator.FEATURES), (300, 10))
    assert len(np.unique(dataset.groups)) == 300
    assert "made up" in " ".join(dataset.notes)
    assert data.version(name) == data.version("generator:cardinality=2.0:examples=300:labels=10", tmp_path)
    config = RunConfig(
        dataset=name,
        num_labels=5,
        base_labels=5,
        replicate=0,
        loss="bce",
        seed=0,
        recipe=Recipe(epochs=1, min_steps=0, width=16),
    )
    assert config.id != dataclasses.replace(config, dataset=f"{name}:seed=1").id
    (run,) = runs.carry_out([config], results=tmp_path / "results", progress=False).runs
    assert 0 < run.metrics["probe_map"] < 1
