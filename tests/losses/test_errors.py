"""What is refused, and that the message says which argument and what it was."""

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from tests.losses.problems import labels_of, tensors_of


def call(name, change):
    labels = labels_of(6, 4)
    arguments = {"labels": labels, **tensors_of(name, labels)}
    change(arguments)
    labels = arguments.pop("labels")
    return losses.create(name)(labels, **arguments)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("reg", {"temperature": 0}, "temperature must be a number above 0, was 0"),
        ("reg", {"temperature": -1.0}, "temperature must be a number above 0, was -1.0"),
        ("reg", {"temperature": "warm"}, "temperature must be a number above 0, was 'warm'"),
        ("reg", {"temperature": True}, "temperature .* was True"),
        ("reg", {"temperature": float("nan")}, "temperature .* was nan"),
        ("reg", {"alpha": float("inf")}, "alpha must be a number, was inf"),
        ("reg", {"regularise": 1}, "regularise must be true or false, was 1"),
        ("reg", {"block": 0}, "block must be a whole number at least 1, or none, was 0"),
        ("reg", {"block": 2.5}, "block .* was 2.5"),
        ("comp_sum", {"tau": 2.1}, "tau must be a number at least 0 and at most 2, was 2.1"),
        ("bce", {"tau": -0.1}, "tau must be a number at least 0 and at most 2, was -0.1"),
        ("comp_sum", {"over": "rows"}, "over must be threshold, labels or positives, was 'rows'"),
        ("mw", {"temperature": 0}, "temperature must be a number above 0, was 0"),
        ("mw_logits", {"pool": "rows"}, "pool must be all, labels or examples, was 'rows'"),
        ("mw", {"normalise": "none"}, "normalise must be pairs or negatives_summed, was 'none'"),
        ("anyloss", {"amplification": 0}, "amplification must be a number above 0, was 0"),
        ("anyloss", {"beta": 0}, "beta must be a number above 0, was 0"),
        ("anyloss", {"metric": "recall"}, "metric must be fbeta, .* was 'recall'"),
        ("anyloss", {"average": "weighted"}, "average must be macro, micro or samples, was 'weighted'"),
        ("ldr", {"strength": 0}, "strength must be a number above 0, was 0"),
        ("ldr", {"margin": -1}, "margin must be a number at least 0, was -1"),
        ("ldr", {"normalise": "l2"}, "normalise must be none, .* was 'l2'"),
        ("aldr", {"adaptivity": 1.0}, "adaptivity must be a number above 1, was 1.0"),
        ("aldr", {"iterations": 0}, "iterations must be a whole number at least 1, was 0"),
        ("ensloss", {"box_cox": 1.5}, "box_cox must be a number at least -1 and at most 1, was 1.5"),
        ("z_loss", {"sharpness": 0}, "sharpness must be a number above 0, was 0"),
        ("z_loss", {"location": float("nan")}, "location must be a number, was nan"),
        ("proto_triplet", {"centroids": 1}, "centroids must be true or false, was 1"),
        (
            "reg",
            {"temprature": 0.1},
            "unknown hyperparameter of reg 'temprature'; did you mean 'temperature'?",
        ),
        ("bce", {"reduction": "avg"}, "reduction must be batch, mean or sum, was 'avg'"),
        ("asl", {"clip": 1.5}, "clip must be a number at least 0 and at most 1, was 1.5"),
        ("asl", {"gamma_neg": -1}, "gamma_neg must be a number at least 0, was -1"),
        ("focal", {"alpha": 2}, "alpha must be a number at least 0 and at most 1, or none, was 2"),
        ("splc", {"change_epoch": -1}, "change_epoch must be a whole number at least 0, was -1"),
        ("splc", {"change_epoch": 1.0}, "change_epoch .* was 1.0"),
        ("instance", {"hard_fraction": 0}, "hard_fraction must be a number above 0 and at most 1, was 0"),
        ("kmcl", {"kernel": "linear"}, "kernel must be bhattacharyya, mahalanobis or rbf, was 'linear'"),
        ("splc+clml", {"clml": {"weight": -1}}, "weight must be a number at least 0, was -1"),
        ("splc+clml", {"bce": {}}, "unknown part of splc[+]clml 'bce'"),
        ("splc+clml", {"clml": 0.1}, "clml must be a mapping of hyperparameters, was 0.1"),
    ],
)
def test_hyperparameters(name, given, words):
    with pytest.raises(ValueError, match=words):
        losses.create(name, **given)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("regg", "unknown loss 'regg'; did you mean 'reg'?"),
        ("splc+clm", "unknown loss 'clm'; did you mean 'clml'?"),
        ("bce+bce", "loss 'bce[+]bce' names a loss twice"),
        ("", "unknown loss ''"),
    ],
)
def test_names(name, words):
    for function in (losses.check, losses.create, losses.info):
        with pytest.raises(UsageError, match=words):
            function(name)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("reg", lambda a: a.update(labels=a["labels"][0]), r"labels must .* shape \(batch, labels\), was .*\(4,\)"),
        ("reg", lambda a: a.update(labels=a["labels"].tolist()), "labels must be a tensor .* was "),
        ("reg", lambda a: a.update(labels=a["labels"][:, :0]), r"labels must .* was of shape \(6, 0\)"),
        ("reg", lambda a: a.update(labels=a["labels"].to(torch.complex64)), "labels must be .* was torch.complex64"),
        ("reg", lambda a: a.update(labels=a["labels"] * 2), "labels must be -1, 0 or 1, was"),
        ("reg", lambda a: a.update(labels=a["labels"] / 2), "labels must be -1, 0 or 1, was"),
        ("reg", lambda a: a.update(labels=a["labels"] * float("nan")), "labels must be -1, 0 or 1, was nan"),
        ("reg", lambda a: a.pop("prototypes"), "reg takes embeddings, prototypes, was given embeddings"),
        ("reg", lambda a: (a.pop("prototypes"), a.pop("embeddings")), "was given none of them"),
        ("reg", lambda a: a.update(logits=a["embeddings"]), "was given embeddings, prototypes, logits"),
        ("reg", lambda a: a.update(epoch=-1), "epoch must be a whole number at least 0, was -1"),
        ("reg", lambda a: a.update(epoch=0.5), "epoch must be a whole number at least 0, was 0.5"),
        ("reg", lambda a: a.update(embeddings=a["embeddings"][1:]), r"shape \(6, dim\), was \(5, 5\)"),
        ("reg", lambda a: a.update(embeddings=a["embeddings"][0]), r"embeddings must have shape .* was \(5,\)"),
        ("reg", lambda a: a.update(prototypes=a["prototypes"][:, 1:]), r"prototypes .* \(4, 5\), was \(4, 4\)"),
        ("reg", lambda a: a.update(prototypes=a["prototypes"][1:]), r"prototypes .* \(4, 5\), was \(3, 5\)"),
        ("reg", lambda a: a.update(embeddings=a["embeddings"].long()), "embeddings must be .* was torch.int64"),
        ("reg", lambda a: a.update(embeddings=None), "embeddings must be .* was NoneType"),
        ("reg", lambda a: a.update(embeddings=a["embeddings"] / 0), "embeddings must be finite, was -?inf"),
        ("bce", lambda a: a.update(logits=a["logits"] * float("nan")), "logits must be finite, was nan"),
        ("bce", lambda a: a.update(logits=a["logits"][:, 1:]), r"logits must have shape \(6, 4\), was \(6, 3\)"),
        ("bce", lambda a: a.update(labels=a["labels"].float().to_sparse()), "labels must be dense for bce, was"),
        ("bce", lambda a: a.update(labels=a["labels"].to("meta")), "on the device of labels, meta, was on cpu"),
        ("instance", lambda a: a.update(views=a["views"][:, 1:]), r"views must have shape \(6, 5\), was \(6, 4\)"),
        ("kmcl", lambda a: a.update(variance=-a["variance"]), "variance must be above 0, was -"),
        ("kmcl", lambda a: a.update(variance=a["variance"][..., None].expand(6, 4, 5)), "shape of mean"),
        ("kmcl", lambda a: a.update(mean=a["mean"][..., None].expand(6, 4, 3)), r"features .* \(6, 3\), was"),
        ("splc+clml", lambda a: a.pop("features"), "splc[+]clml takes logits, features, was given logits"),
    ],
)  # fmt: skip
def test_input(name, change, words):
    with pytest.raises(ValueError, match=words):
        call(name, change)


def test_a_finite_sum_that_overflows_is_no_error():
    labels = torch.ones(4, 3)
    logits = torch.full((4, 3), 60000.0, dtype=torch.float16)
    assert losses.create("bce")(labels, logits=logits) == 0
