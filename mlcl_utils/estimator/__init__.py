"""A scikit-learn estimator over this package's training, probe and thresholds; needs the extra ``sklearn``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from mlcl_utils import losses, training
from mlcl_utils.data import Dataset, Part, Task
from mlcl_utils.errors import UsageError
from mlcl_utils.metrics import tune_thresholds
from mlcl_utils.metrics.thresholds import HALF
from mlcl_utils.written import MOST_SEED

MOST_BYTES = 8 * 2**30
"""Features take at most so much memory as a dense float32 matrix."""

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]


class MultiLabelContrastiveClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An MLP trained with a loss of this package, a linear probe on it and tuned thresholds.

    The training data are divided at random: on one part the encoder ``frozen`` is trained with the loss, and the
    probe, binary logistic regressions, is fitted to its representation; on the other the probe's penalty and the
    thresholds are chosen.

    Args:
        loss: a name of :func:`mlcl_utils.losses.names`, or several joined by ``+``.
        loss_parameters: hyperparameters of the loss, as :func:`mlcl_utils.losses.create` takes them.
        epochs: passes over the training part.
        min_steps: optimisation steps at least, however small the training part.
        batch_size: examples a step.
        learning_rate: peak of the schedule.
        width: of the representation, at most the number of features.
        dropout: probability of dropping a unit, in [0, 1).
        thresholds: of predictions for several labels: ``overall``, one for all labels, with the best macro-F1;
            ``per_label``, one for each, with its best F1; or ``half``, a probability of one half.
        validation_fraction: share of the examples that choices are made on, in (0, 1).
        random_state: seed of the division, the weights and the order of the batches.
        device: where to train, such as ``cpu`` or ``cuda``.

    Attributes:
        classes_: the columns of the label matrix, 0 to L - 1; of one-dimensional targets, the classes.
        thresholds_: (L,) on the scale of :meth:`decision_function`.
        history_: one row an epoch, with the losses of training and validation.
        n_features_in_: number of features.
    """

    def __init__(
        self,
        loss: str = "reg",
        *,
        loss_parameters: Mapping[str, Any] | None = None,
        epochs: int = 30,
        min_steps: int = 200,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        width: int = 640,
        dropout: float = 0.3,
        thresholds: Literal["overall", "per_label", "half"] = "overall",
        validation_fraction: float = 0.125,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        self.loss = loss
        self.loss_parameters = loss_parameters
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.dropout = dropout
        self.thresholds = thresholds
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any) -> Self:
        """Train on features and labels.

        Args:
            X: (n, d) array or sparse matrix, finite.
            y: (n, L) of 1, 0 and -1 for positive, negative and unobserved, an array or sparse; or (n,) classes, of
                which an example has one.

        Raises:
            UsageError: a setting that is not possible, or a loss or hyperparameter that there is not.
            ValueError: data of another shape or kind.
            TrainingError: the loss was not finite.
        """
        recipe = self._recipe()
        losses.check(self.loss)
        features = self._dense(validate_data(self, X, accept_sparse="csr", dtype=np.float32))
        labels = self._labels(y)
        check_consistent_length(features, labels)
        seed = int(check_random_state(self.random_state).randint(min(MOST_SEED, 2**31 - 1)))
        train, validation = self._parts(labels, seed)
        task = _task(features, labels, train, validation)
        device = torch.device(self.device)
        fitted = training.fit(
            task, self.loss, recipe, hyperparameters=self.loss_parameters or {}, seed=seed, device=device
        )
        self.history_ = fitted.history
        self.model_ = fitted.model.cpu()
        given = [torch.from_numpy(part.labels) for part in (task.train, task.validation)]
        rows = [self._represent(part.features) for part in (task.train, task.validation)]
        self.probe_ = training.fit_probe(rows[0], given[0], rows[1], given[1])
        self.thresholds_ = self._tuned(labels[validation], self.probe_.scores(rows[1]).numpy())
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits (n, L) of the labels; for two classes (n,), of the second."""
        check_is_fitted(self)
        checked = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        scores: npt.NDArray[np.float64] = (
            self.probe_.scores(self._represent(self._dense(checked))).numpy().astype(np.float64)
        )
        return scores[:, 0] if self._two_classes else scores

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities (n, L), of each label on its own; of classes (n, classes), which sum to 1."""
        probability: npt.NDArray[np.float64] = 1 / (
            1 + np.exp(-np.clip(self.decision_function(X), -500, 500))
        )
        if self._binarizer is None:
            return probability
        if self._two_classes:
            return np.stack([1 - probability, probability], axis=1)
        if len(self.classes_) == 1:
            return np.ones((len(probability), 1))
        shares: npt.NDArray[np.float64] = probability / probability.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Labels (n, L) of 0 and 1, those whose score reaches the threshold; or classes (n,), the likeliest."""
        scores = self.decision_function(X)
        if self._binarizer is None:
            return (scores >= self.thresholds_).astype(np.int64)
        chosen = (scores > HALF).astype(np.int64) if self._two_classes else scores.argmax(axis=1)
        classes: npt.NDArray[Any] = self.classes_[chosen]
        return classes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def _two_classes(self) -> bool:
        return self._binarizer is not None and len(self.classes_) == 2

    def _recipe(self) -> training.Recipe:
        settings: dict[str, Any] = {
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "width": self.width,
            "dropout": self.dropout,
        }
        for name, value in settings.items():
            training.recipe.check_setting(name, value)
        for name, least in (("epochs", 1), ("min_steps", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise UsageError(f"{name} must be a whole number of at least {least}, was {value!r}")
        if not 0 < self.validation_fraction < 1:
            raise UsageError(
                f"validation_fraction must be above 0 and below 1, was {self.validation_fraction!r}"
            )
        if self.thresholds not in ("overall", "per_label", "half"):
            raise UsageError(f"thresholds must be overall, per_label or half, was {self.thresholds!r}")
        return training.Recipe(epochs=self.epochs, min_steps=self.min_steps, **settings)

    def _dense(self, X: Any) -> Floats:
        if X.shape[0] * X.shape[1] * 4 > MOST_BYTES:
            raise UsageError(
                f"features of shape {X.shape} take more than {MOST_BYTES >> 30} GiB when dense; put a"
                " sklearn.decomposition.TruncatedSVD before the estimator in a Pipeline"
            )
        return np.ascontiguousarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float32)

    def _labels(self, y: Any) -> Labels:
        """The label matrix (n, L); sets ``classes_``."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y")
        y = y.toarray() if sparse.issparse(y) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            if y.dtype.kind not in "biuf" or not np.isin(y, (-1, 0, 1)).all():
                raise ValueError("y must be a matrix of 1, 0 and -1 for positive, negative and unobserved")
            if not (y == 1).any():
                raise ValueError("y has no positive: there is nothing to learn")
            self._binarizer, self.classes_ = None, np.arange(y.shape[1])
            matrix: Labels = y.astype(np.int8)
            return matrix
        if y.ndim == 2:
            y = _one_dimensional(y)
        check_classification_targets(y)
        self._binarizer = LabelBinarizer()
        labels: Labels = self._binarizer.fit_transform(y).astype(np.int8)
        self.classes_ = self._binarizer.classes_
        return labels

    def _parts(self, labels: Labels, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions of the training and the validation part; all for both where validation would have no positive."""
        order = np.random.default_rng(seed).permutation(len(labels))
        size = max(1, round(self.validation_fraction * len(labels)))
        train, validation = np.sort(order[size:]), np.sort(order[:size])
        if not len(train) or not (labels[validation] == 1).any():
            return np.sort(order), np.sort(order)
        return train, validation

    def _represent(self, features: Floats) -> torch.Tensor:
        return training.represent(self.model_, torch.from_numpy(features), device=torch.device("cpu"))

    def _tuned(self, labels: Labels, scores: Floats) -> npt.NDArray[np.float64]:
        count = labels.shape[1]
        if self.thresholds == "half" or self._binarizer is not None:
            return np.full(count, HALF)
        tuned = tune_thresholds(labels, scores)
        return tuned.per_label if self.thresholds == "per_label" else np.full(count, tuned.overall)


def _one_dimensional(y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    from sklearn.utils.validation import column_or_1d

    flat: npt.NDArray[Any] = column_or_1d(y, warn=True)
    return flat


def _task(
    features: Floats, labels: Labels, train: npt.NDArray[np.int64], validation: npt.NDArray[np.int64]
) -> Task:
    """The task that the training loop takes; nothing is tested on, so its test part is empty."""
    none = np.empty(0, dtype=np.int64)
    names = tuple(str(label) for label in range(labels.shape[1]))

    def part(index: npt.NDArray[np.int64]) -> Part:
        return Part(features[index], labels[index], index.astype(np.int32), index, None)

    return Task(
        name="estimator",
        modality="features",
        label_names=names,
        label_index=np.arange(len(names)),
        frequency=(labels[train] == 1).sum(axis=0),
        train=part(train),
        validation=part(validation),
        test=part(none),
        replicate=0,
        dataset=Dataset(
            name="estimator",
            modality="features",
            version="",
            label_names=names,
            labels=labels,
            groups=np.arange(len(labels), dtype=np.int32),
            splits=np.zeros((1, len(labels)), dtype=np.uint8),
            named=None,
            card="",
            notes=(),
            folder=Path(),
            raw_digest="",
            stored_features=features,
        ),
    )
