"""Embeddings trained on some labels, judged by the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlcl_utils import metrics, models
from mlcl_utils.data import Part, Task
from mlcl_utils.errors import UsageError
from mlcl_utils.models import Model
from mlcl_utils.training.loop import fit
from mlcl_utils.training.recipe import Recipe
from mlcl_utils.training.representation import represent

SHOTS = (1, 5, 20)
"""Numbers of examples that a novel label is learnt from."""


def draw_novel(labels: int, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which labels are novel: a share of them, rounded, at random; at least one, and one is left.

    Raises:
        UsageError: fewer than two labels, or a share that is not between 0 and 1.
    """
    if labels < 2 or not 0 < share < 1:
        raise UsageError(
            f"novel labels need at least two labels and a share between 0 and 1, not {labels} and {share}"
        )
    count = min(max(1, round(share * labels)), labels - 1)
    novel = np.zeros(labels, dtype=np.bool_)
    novel[np.random.default_rng(seed).permutation(labels)[:count]] = True
    return novel


def with_labels(task: Task, kept: npt.NDArray[np.bool_]) -> Task:
    """The task with some of its labels; examples that have none of them stay, as examples without a label.

    Args:
        task: with k labels.
        kept: (k,) bool.
    """

    def part(whole: Part) -> Part:
        columns: dict[str, Any] = {
            name: None if (values := getattr(whole, name)) is None else values[:, kept]
            for name in ("labels", "named", "truth")
        }
        return dataclasses.replace(whole, **columns)

    return dataclasses.replace(
        task,
        label_names=tuple(name for name, keep in zip(task.label_names, kept, strict=True) if keep),
        label_index=task.label_index[kept],
        frequency=task.frequency[kept],
        train=part(task.train),
        validation=part(task.validation),
        test=part(task.test),
    )


def evaluate_novel(
    task: Task,
    loss: str,
    recipe: Recipe,
    *,
    novel: npt.NDArray[np.bool_],
    hyperparameters: Mapping[str, Any],
    seed: int,
    device: torch.device,
    encoder: str = "frozen",
    shots: Sequence[int] = SHOTS,
) -> dict[int, dict[str, float]]:
    """Train without some labels and tell these on the test part by the mean of a few training examples.

    The evaluation of Pereira et al. (arXiv 2102.03243), whose loss is ``prototype`` at a temperature of 0.05.
    Embeddings are those that the loss takes, or the representation where it takes none. A seen label stands in the
    joint ranking by its prototype, or by the mean of all of its training examples where the loss has no prototypes.

    Args:
        task: with all labels.
        loss: a name of :func:`mlcl_utils.losses.available`.
        recipe: how it is trained.
        novel: (k,) bool, the labels that training does not see; see :func:`draw_novel`.
        hyperparameters: of the loss.
        seed: of training, and of the draw of the examples.
        device: where.
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
        shots: how many examples each novel label is learnt from.

    Returns:
        By number of shots what :func:`mlcl_utils.metrics.novel_labels` gives, and ``novel_labels``, how many labels
        have that many training examples. A zero embedding has no direction and is left out.

    Raises:
        UsageError: no label is novel, or none is left.
        ValueError: no novel label has as many training examples as are asked for.
    """
    if not novel.any() or novel.all():
        raise UsageError(
            f"{int(novel.sum())} of {len(novel)} labels are novel: some must be, and some must be left"
        )
    fitted = fit(
        with_labels(task, ~novel),
        loss,
        recipe,
        encoder=encoder,
        hyperparameters=hyperparameters,
        seed=seed,
        device=device,
    )
    inputs = models.encoder_class(encoder).inputs(task)
    embeddings, labels = {}, {}
    for split, whole in (("train", task.train), ("test", task.test)):
        rows = _embedded(fitted.model, represent(fitted.model, inputs[split], device=device))
        given = rows.any(axis=1)
        embeddings[split], labels[split] = rows[given], whole.labels[given]
    prototypes = metrics.label_means(embeddings["train"], labels["train"])
    learned = getattr(fitted.model, "prototypes", None)
    if learned is not None:
        prototypes[~novel] = learned.detach().double().cpu().numpy()
    results = {}
    for count in shots:
        means = metrics.label_means(
            embeddings["train"], labels["train"], shots=count, rng=np.random.default_rng(seed)
        )
        found = metrics.novel_labels(embeddings["test"], labels["test"], means, novel, prototypes=prototypes)
        results[count] = found | {"novel_labels": float(np.isfinite(means[novel]).all(axis=1).sum())}
    return results


@torch.no_grad()
def _embedded(model: Model, representation: Tensor) -> npt.NDArray[np.float64]:
    found = model.heads(representation).get("embeddings", representation)
    embeddings: npt.NDArray[np.float64] = found.double().cpu().numpy()
    return embeddings
