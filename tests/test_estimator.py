"""The scikit-learn estimator."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlcl_utils.errors import UsageError
from mlcl_utils.estimator import MultiLabelContrastiveClassifier
from mlcl_utils.training import TrainingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 12)).astype(np.float32)
Y = (X @ RNG.normal(size=(12, 4)) + [0.0, 0.5, -0.5, -1.0] > 0).astype(int)


def small(loss: str = "bce", **settings: object) -> MultiLabelContrastiveClassifier:
    return MultiLabelContrastiveClassifier(
        loss,
        **{"epochs": 2, "min_steps": 40, "width": 16, "learning_rate": 1e-2, "random_state": 0} | settings,
    )


@parametrize_with_checks([small(min_steps=60, dropout=0.0)])
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize(
    "loss", ["bce", "reg", "msc", "jaccard_supcon", "instance", "kmcl", "icnn", "splc+clml"]
)
def test_labels_are_learnt_with_any_kind_of_loss(loss):
    fitted = small(loss).fit(X[:160], Y[:160])
    assert f1_score(Y[160:], fitted.predict(X[160:]), average="macro") > 0.8
    assert fitted.score(X[160:], Y[160:]) == (fitted.predict(X[160:]) == Y[160:]).all(axis=1).mean()


def test_predictions_are_scores_at_the_thresholds():
    overall = small().fit(X, Y)
    scores = overall.decision_function(X)
    assert len(set(overall.thresholds_)) == 1
    np.testing.assert_array_equal(overall.predict(X), scores >= overall.thresholds_)
    np.testing.assert_allclose(overall.predict_proba(X), 1 / (1 + np.exp(-scores)))
    np.testing.assert_array_equal(small(thresholds="half").fit(X, Y).thresholds_, np.zeros(4))
    own = small(thresholds="per_label", validation_fraction=0.5).fit(X, Y)
    assert len(set(own.thresholds_)) > 1


def test_sparse_features_and_labels_are_the_same_as_dense():
    dense = small().fit(X, Y)
    thin = small().fit(sparse.csr_matrix(X), sparse.csr_array(Y))
    np.testing.assert_array_equal(dense.decision_function(X), thin.decision_function(sparse.coo_array(X)))


def test_a_seed_decides_all_and_torchs_own_state_is_left_alone():
    before = torch.random.get_rng_state()
    one, same, other = (small(random_state=s).fit(X, Y).decision_function(X) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_it_is_copied_and_pickled():
    fitted = small("msc", loss_parameters={"alpha": 0.5}).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)


def test_in_a_pipeline_and_a_search():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small("reg")),
        {"multilabelcontrastiveclassifier__loss_parameters": [{"temperature": 0.1}, {"temperature": 1.0}]},
        scoring="f1_macro",
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    assert search.best_score_ > 0.7
    assert search.predict(X).shape == Y.shape


def test_unobserved_labels_are_taken():
    partly = np.where((RNG.random(Y.shape) < 0.3) & (Y == 0), -1, Y)
    fitted = small(loss_parameters={"ignore_unobserved": True}).fit(X, partly)
    assert set(np.unique(fitted.predict(X))) == {0, 1}


def test_a_label_that_no_example_has_and_one_that_all_have():
    given = Y.copy()
    given[:, 0], given[:, 1] = 0, 1
    predicted = small().fit(X, given).predict(X)
    assert not predicted[:, 0].any()
    assert predicted[:, 1].all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "reggg"}, "unknown loss 'reggg'; did you mean 'reg'"),
        ({"loss_parameters": {"temprature": 1}, "loss": "reg"}, "did you mean 'temperature'"),
        ({"thresholds": "best"}, "thresholds must be overall, per_label or half"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, was 0"),
        ({"min_steps": 1.5}, "min_steps must be a whole number"),
        ({"validation_fraction": 1.0}, "validation_fraction must be above 0 and below 1"),
        ({"width": 0}, "width must be a whole number"),
        ({"dropout": 1}, "dropout must be a number"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        small(**settings).fit(X, Y)


@pytest.mark.parametrize("labels", [Y * 2, Y + 0.5, np.where(Y, "a", "b")])
def test_a_matrix_of_anything_but_labels_is_refused(labels):
    with pytest.raises(ValueError, match="y must be a matrix of 1, 0 and -1"):
        small().fit(X, labels)


def test_no_positive_at_all_is_refused():
    with pytest.raises(ValueError, match="y has no positive"):
        small().fit(X, np.zeros_like(Y))


def test_sparse_features_that_do_not_fit_are_refused_with_a_way_out():
    with pytest.raises(UsageError, match="TruncatedSVD"):
        small().fit(sparse.csr_array((100_000, 100_000), dtype=np.float32), np.ones((100_000, 2)))


def test_a_loss_that_diverges_is_an_error():
    with pytest.raises(TrainingError, match="learning rate"):
        small("bce", learning_rate=1e30).fit(X, Y)
