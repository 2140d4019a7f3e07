"""Small problems for the losses, and the settings that every test goes through."""

import torch

from mlcl_utils import losses

# (name, hyperparameters, epoch): every loss, every branch
SETTINGS = [
    ("bce", {}, 0),
    ("bce", {"reduction": "sum"}, 0),
    ("bce", {"reduction": "mean", "ignore_unobserved": True}, 0),
    ("bce", {"ignore_unobserved": True}, 0),
    ("bce", {"tau": 1.5, "reduction": "mean"}, 0),
    ("focal", {}, 0),
    ("focal", {"gamma": 0.5, "alpha": 0.25, "ignore_unobserved": True}, 0),
    ("asl", {}, 0),
    ("asl", {"gamma_pos": 0.5, "gamma_neg": 0.5, "clip": 0.3, "reduction": "mean"}, 0),
    ("asl", {"gamma_neg": 0.0, "clip": 0.3}, 0),
    ("asl", {"clip": 0.0, "eps": 0.4, "ignore_unobserved": True}, 0),
    ("hill", {}, 0),
    ("hill", {"lamb": 1.2, "margin": 0.5, "gamma": 1.0, "ignore_unobserved": True}, 0),
    ("splc", {}, 0),
    ("splc", {"threshold": 0.6}, 1),
    ("splc", {"change_epoch": 3, "margin": 0.3, "gamma": 1.0, "threshold": 0.55, "reduction": "mean"}, 4),
    ("splc", {"ignore_unobserved": True, "threshold": 0.5}, 2),
    ("zlpr", {}, 0),
    ("zlpr", {"ignore_unobserved": True}, 0),
    ("zlpr", {"tau": 0.5}, 0),
    ("comp_sum", {}, 0),
    ("comp_sum", {"tau": 1.7, "ignore_unobserved": True}, 0),
    ("comp_sum", {"tau": 0.0, "over": "labels"}, 0),
    ("comp_sum", {"tau": 1.5, "over": "labels", "ignore_unobserved": True}, 0),
    ("comp_sum", {"tau": 2.0, "over": "positives"}, 0),
    ("comp_sum", {"over": "positives", "ignore_unobserved": True}, 0),
    ("mw_logits", {}, 0),
    ("mw_logits", {"pool": "examples", "normalise": "negatives_summed"}, 0),
    ("mw_logits", {"pool": "labels", "ignore_unobserved": True, "temperature": 0.5}, 0),
    ("mw", {}, 0),
    ("mw", {"pool": "labels", "temperature": 0.5}, 0),
    ("mw", {"pool": "examples", "ignore_unobserved": True}, 0),
    ("mw", {"normalise": "negatives_summed", "ignore_unobserved": True}, 0),
    ("anyloss", {}, 0),
    ("anyloss", {"beta": 2.0, "amplification": 5.0, "average": "samples", "ignore_unobserved": True}, 0),
    ("anyloss", {"metric": "accuracy", "amplification": 5.0, "average": "micro"}, 0),
    ("anyloss", {"metric": "gmean", "amplification": 5.0}, 0),
    ("anyloss", {"metric": "balanced_accuracy", "amplification": 20.0, "ignore_unobserved": True}, 0),
    ("anyloss", {"metric": "gmean", "amplification": 5.0, "average": "samples"}, 0),
    ("ldr", {}, 0),
    ("ldr", {"strength": 0.3, "margin": 0.5, "normalise": "l1", "ignore_unobserved": True}, 0),
    ("ldr", {"strength": 10.0, "margin": 0.0, "normalise": "none"}, 0),
    ("ldr", {"threshold": True, "normalise": "none", "margin": 0.3}, 0),
    ("ldr", {"threshold": True, "ignore_unobserved": True}, 0),
    ("aldr", {}, 0),
    ("aldr", {"strength": 0.5, "normalise": "softplus_l1", "iterations": 3, "ignore_unobserved": True}, 0),
    ("aldr", {"normalise": "none", "adaptivity": 1.2, "margin": 1.0}, 0),
    ("z_loss", {}, 0),
    ("z_loss", {"sharpness": 5.0, "location": 1.0, "ignore_unobserved": True}, 0),
    ("cosine_bce", {}, 0),
    ("cosine_bce", {"scale": 3.0, "bias": 0.5, "reduction": "mean", "ignore_unobserved": True}, 0),
    ("jaccard_supcon", {}, 0),
    ("jaccard_supcon", {"temperature": 0.5, "block": 2}, 0),
    ("mulsupcon", {}, 0),
    ("mulsupcon", {"temperature": 0.5, "block": 3}, 0),
    ("similarity_dissimilarity", {}, 0),
    ("similarity_dissimilarity", {"temperature": 0.5, "block": 1}, 0),
    ("prototype", {}, 0),
    ("prototype", {"temperature": 1.0}, 0),
    ("msc", {}, 0),
    ("msc", {"alpha": 0.5, "beta": 1.0, "temperature": 0.5, "block": 2}, 0),
    ("msc", {"alpha": 0.0, "beta": 0.0}, 0),
    ("reg", {}, 0),
    ("reg", {"alpha": 1.0, "temperature": 0.5, "block": 4}, 0),
    ("reg", {"alpha": 2.0, "regularise": False}, 0),
    ("reg", {"alpha": -1.0, "temperature": 0.5}, 0),
    ("reg", {"alpha": -1.0, "block": 3, "regularise": False}, 0),
    ("instance", {}, 0),
    ("instance", {"hard_fraction": 0.4, "temperature": 0.5}, 0),
    ("clml", {}, 0),
    ("clml", {"weight": 0.3}, 1),
    ("clml", {"exclude_unlabelled": False, "change_epoch": 2, "threshold": 0.9}, 2),
    ("corrected_bce", {}, 0),
    ("corrected_bce", {"threshold": 0.6, "reduction": "sum"}, 1),
    ("corrected_bce", {"threshold": 0.6, "tau": 0.5}, 1),
    ("norm_penalty", {}, 0),
    ("norm_penalty", {"weight": 0.3, "exclude_unlabelled": False}, 1),
    ("unpg", {}, 0),
    ("unpg", {"scale": 8.0, "kind": "angle", "whisker": 0.1}, 0),
    ("unpg", {"scale": 4.0, "margin": 0.2, "whisker": None}, 0),
    ("unpg", {"scale": 8.0, "margin": 0.0, "pool": False}, 0),
    ("proto_triplet", {}, 0),
    ("proto_triplet", {"margin": 3.0, "positive": "max"}, 0),
    ("tcm", {}, 0),
    ("tcm", {"graded": False, "positive_margin": 0.6, "negative_margin": 0.1}, 0),
    ("tcm", {"negative_margin": 0.1, "positive_weight": 0.5, "negative_weight": 2.0}, 0),
    ("tcm_prototypes", {}, 0),
    ("tcm_prototypes", {"negative_margin": 0.1, "positive_weight": 0.5, "negative_weight": 2.0}, 0),
    ("metrix", {"mixing": 0.7}, 0),
    ("metrix", {"mixing": 0.7, "negatives": 1, "margin": 1.5}, 0),
    ("metrix", {"mixing": 0.2, "pairing": "all", "weight": 2.0, "margin": 1.5}, 0),
    ("metrix", {"mixing": 0.6, "mode": "anchor_negative", "weight": 1.0, "margin": 0.9}, 0),
    ("snr_contrastive", {}, 0),
    ("snr_contrastive", {"positive_margin": 0.3, "negative_margin": 2.5, "normalise": True}, 0),
    ("snr_triplet", {}, 0),
    ("snr_triplet", {"margin": 1.0, "regularisation": 0.1, "normalise": True}, 0),
    ("energy_confusion", {}, 0),
    ("energy_confusion", {"pairs": "all", "weight": 0.3, "normalise": True}, 0),
    ("icnn", {}, 0),
    ("icnn", {"neighbours": 2, "horizon": 4}, 0),
    ("icnn", {"neighbours": 1}, 0),
    ("instance_simple", {}, 0),
    ("instance_simple", {"hard_fraction": 0.4, "weight": 0.2}, 0),
    ("hyperbolic_ce", {}, 0),
    ("hyperbolic_ce", {"curvature": 1.0, "radius": 1.0}, 0),
    ("hyperbolic_confusion", {}, 0),
    ("hyperbolic_confusion", {"pairs": "all"}, 0),
    ("hyperbolic_confusion", {"curvature": 1.0, "radius": 1.0, "pairs": "all", "inverse": "arctan"}, 0),
    ("kmcl", {}, 0),
    ("kmcl", {"jaccard": "weight", "kernel": "mahalanobis", "temperature": 0.5}, 0),
    ("kmcl", {"stable": False, "kernel": "rbf", "reconstruction": 0.5, "contrastive": 2.0}, 0),
    ("kmcl", {"stable": False, "jaccard": "weight", "reconstruction": 0.0}, 0),
    ("kmcl", {"gamma_neg": 2.0, "gamma_pos": 0.0, "clip": 0.1, "contrastive": 0.0}, 0),
]
IDS = [f"{name}-{','.join(f'{k}={v}' for k, v in given.items())}-{epoch}" for name, given, epoch in SETTINGS]
RANDOM = {"ensloss", "metrix_supcon"}
"""Losses of which no two calls are alike, with tests of their own in the place of those over SETTINGS."""
PAIRWISE = ["jaccard_supcon", "mulsupcon", "similarity_dissimilarity", "msc", "reg"]


def labels_of(batch, count, seed=0, unobserved=True, density=0.4):
    """Labels (batch, count) with, where they fit, a row and a column of zeros, two equal rows and a full column."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(batch, count, generator=generator) < density).to(torch.int8)
    if batch > 4 and count > 3:
        labels[1] = 0
        labels[3] = labels[2]
        labels[:, 0] = 0
        labels[4:, 1] = 1
    if unobserved:
        labels[(torch.rand(batch, count, generator=generator) < 0.2) & (labels == 0)] = -1
    return labels


def tensors_of(name, labels, seed=0, dim=5, dtype=torch.float64, anisotropic=False):
    """The tensors that a loss takes, with gradients."""
    generator = torch.Generator().manual_seed(seed + 1)
    batch, count = labels.shape
    per_class = (batch, count, dim) if anisotropic else (batch, count)
    shapes = {
        "embeddings": (batch, dim),
        "views": (batch, dim),
        "confused": (batch, dim),
        "prototypes": (count, dim),
        "normals": (count, dim),
        "logits": (batch, count),
        "features": (batch, dim),
        "mean": per_class,
        "variance": per_class,
    }
    tensors = {}
    for tensor in losses.info(name).tensors:
        values = torch.randn(shapes[tensor], generator=generator, dtype=torch.float64)
        values = (
            values.exp() / 2 + 0.5 if tensor == "variance" else values * (0.5 if tensor == "mean" else 1.5)
        )
        tensors[tensor] = values.to(dtype).requires_grad_()
    return tensors


def gradients(value, tensors):
    return dict(
        zip(tensors, torch.autograd.grad(value, list(tensors.values()), allow_unused=True), strict=True)
    )
