"""Names, descriptions and sums of losses."""

import subprocess
import sys

import pytest
import torch

from mlcl_utils import losses
from tests.losses.problems import RANDOM, SETTINGS, gradients, labels_of, tensors_of


def test_names_and_check_need_no_torch():
    code = "import sys; from mlcl_utils import losses; losses.names(); losses.check('splc+clml')"
    subprocess.run([sys.executable, "-c", code + "; sys.exit('torch' in sys.modules)"], check=True)


def test_every_loss_is_described():
    available = losses.available()
    assert tuple(available) == losses.names()
    assert {name for name, _, _ in SETTINGS} | RANDOM == set(available)
    for name, info in available.items():
        assert info.name == name
        assert info.family in {"classification", "contrastive", "structure", "kernel"}
        assert info.tensors
        assert info.version >= 1
        assert info.paper
        assert info.summary.endswith(".")
        for parameter, field in info.hyperparameters.items():
            assert field.description
            assert field.range
            assert field.check(parameter, field.default) == field.default


def test_defaults():
    for name, info in losses.available().items():
        defaults = {key: field.default for key, field in info.hyperparameters.items()}
        if info.family == "contrastive" and "temperature" in defaults:
            assert defaults["temperature"] == 0.1
        if "reduction" in defaults:
            assert defaults["reduction"] == "batch"
        criterion = losses.create(name)
        assert {key: getattr(criterion, key) for key in defaults} == defaults
        assert criterion.tensors == info.tensors
    assert losses.info("reg").hyperparameters["alpha"].default == 0
    assert losses.info("splc").hyperparameters["threshold"].default == 0.7


def test_tensors():
    wanted = {
        "bce": ("logits",),
        "cosine_bce": ("embeddings", "prototypes"),
        "jaccard_supcon": ("embeddings",),
        "reg": ("embeddings", "prototypes"),
        "instance": ("embeddings", "views"),
        "clml": ("features", "logits"),
        "kmcl": ("logits", "mean", "variance", "features"),
    }
    assert {name: losses.info(name).tensors for name in wanted} == wanted


def test_whole_numbers_become_numbers():
    assert isinstance(losses.create("asl", gamma_neg=4).gamma_neg, float)


def test_module_prints_its_hyperparameters():
    assert "temperature=0.2" in repr(losses.create("reg", temperature=0.2))


@pytest.mark.parametrize("base", ["bce", "focal", "asl", "hill", "splc", "zlpr"])
def test_sum_is_the_sum_of_its_parts(base):
    labels = labels_of(7, 5)
    name = f"{base}+clml"
    tensors = tensors_of(name, labels)
    both = losses.create(name, clml={"weight": 0.1})(labels, **tensors, epoch=1)
    first = losses.create(base)(labels, logits=tensors["logits"], epoch=1)
    second = losses.create("clml", weight=0.1)(labels, **tensors, epoch=1)
    torch.testing.assert_close(both, first + second)
    wanted = gradients(first + second, tensors)
    for key, gradient in gradients(both, tensors).items():
        torch.testing.assert_close(gradient, wanted[key])


def test_description_of_a_sum():
    info = losses.info("splc+clml")
    assert info.name == "splc+clml"
    assert info.family == "classification"
    assert info.tensors == ("logits", "features")
    assert info.hyperparameters["clml.weight"] == losses.info("clml").hyperparameters["weight"]
    assert losses.create("splc+clml").tensors == info.tensors


def test_published_sum_against_a_mean_is_weight_one_over_the_batch():
    """Base loss summed over the batch plus weight 1 is N times base loss averaged plus weight 1/N."""
    labels = labels_of(7, 5)
    tensors = tensors_of("splc+clml", labels)
    summed = losses.create("splc+clml", splc={"reduction": "sum"})(labels, **tensors, epoch=1)
    averaged = losses.create("splc+clml", clml={"weight": 1 / 7})(labels, **tensors, epoch=1)
    torch.testing.assert_close(summed, 7 * averaged)


def test_kmcl_is_the_weighted_sum_of_its_terms():
    labels = labels_of(7, 5)
    tensors = tensors_of("kmcl", labels)
    criterion = losses.create("kmcl", reconstruction=0.3, contrastive=2.0)
    terms = criterion.terms(labels, **tensors)
    assert list(terms) == ["asl", "reconstruction", "contrastive"]
    expected = terms["asl"] + 0.3 * terms["reconstruction"] + 2 * terms["contrastive"]
    torch.testing.assert_close(criterion(labels, **tensors), expected)


def test_cosine_bce_gives_its_logits():
    labels = labels_of(7, 5)
    tensors = tensors_of("cosine_bce", labels)
    criterion = losses.create("cosine_bce").double()
    value = losses.create("bce")(labels, logits=criterion.logits(**tensors))
    torch.testing.assert_close(value, criterion(labels, **tensors))
