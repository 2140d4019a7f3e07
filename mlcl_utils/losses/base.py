"""What all losses share: declaration of hyperparameters, checks of the input, precision.

A loss is a subclass of :class:`Loss` that declares its hyperparameters as class attributes and computes its
value in ``compute``; the tensors that it takes are the keyword arguments of ``compute``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mlcl_utils.errors import unknown
from mlcl_utils.losses.info import Family, Hyperparameter, LossInfo

_SHAPES = {
    "embeddings": ("batch", "dim"),
    "views": ("batch", "dim"),
    "prototypes": ("labels", "dim"),
    "normals": ("labels", "dim"),
    "logits": ("batch", "labels"),
    "features": ("batch", "width"),
    "mean": ("batch", "labels", "width"),
    "variance": ("batch", "labels", "width"),
}
_MAY_LACK_WIDTH = ("mean", "variance")  # one value a label stands for all dimensions
_NO_TENSORS = ("epoch", "anchors")  # what a loss may take besides tensors


def hyperparameter(default: bool | int | float | str | None, description: str, **bounds: Any) -> Any:
    """A class attribute set from the constructor's arguments; see :class:`Hyperparameter` for the bounds."""
    return Hyperparameter(default, description, **bounds)


IGNORE_UNOBSERVED = hyperparameter(False, "leave unobserved entries out, instead of taking them as negative")


class Loss(nn.Module):
    """A loss over a batch: ``criterion(labels, tensor=..., epoch=0)`` gives a scalar.

    Every loss takes the labels first, of shape (batch, labels), bool, integer or floating point, with 1 for
    positive, 0 for negative and -1 for unobserved; then, by keyword, exactly the tensors in
    ``info().tensors``; and ``epoch``, 0-based, which only some of them look at. The arithmetic is done in
    float32, or float64 where an input has it, with autocast disabled, and so is the result.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    paper: ClassVar[str]
    version: ClassVar[int]
    takes_sparse_labels: ClassVar[bool] = False
    compute: Callable[..., Tensor]

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters.

        Raises:
            UsageError: an unknown hyperparameter; suggests the nearest name.
            ValueError: a value out of range; says which, and what it was.
        """
        super().__init__()
        declared = self._declared()
        for name in hyperparameters:
            if name not in declared:
                raise unknown(f"hyperparameter of {self.name}", name, declared)
        for name, field in declared.items():
            setattr(self, name, field.check(name, hyperparameters.get(name, field.default)))
        keywords = self._keywords()
        self.tensors = tuple(name for name in keywords if name not in _NO_TENSORS)
        self._uses_epoch = "epoch" in keywords
        self.takes_anchors = "anchors" in keywords

    @classmethod
    def _declared(cls) -> dict[str, Hyperparameter]:
        return {
            name: field
            for base in reversed(cls.__mro__)
            for name, field in vars(base).items()
            if isinstance(field, Hyperparameter)
        }

    @classmethod
    def _keywords(cls) -> tuple[str, ...]:
        parameters = inspect.signature(cls.compute).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    @classmethod
    def info(cls) -> LossInfo:
        """The description of the loss."""
        return LossInfo(
            name=cls.name,
            family=cls.family,
            tensors=tuple(name for name in cls._keywords() if name not in _NO_TENSORS),
            hyperparameters=cls._declared(),
            summary=inspect.cleandoc(cls.__doc__ or "").splitlines()[0],
            paper=cls.paper,
            version=cls.version,
        )

    def extra_repr(self) -> str:
        """The hyperparameters, for printing the module."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._declared())

    def forward(
        self, labels: Tensor, *, epoch: int = 0, anchors: int | None = None, **tensors: Tensor
    ) -> Tensor:
        """The value of the loss on a batch.

        Args:
            labels: (batch, labels), values in {-1, 0, 1}.
            epoch: 0-based number of the epoch.
            anchors: how many examples of the batch, the first, are anchors; the others are candidates alone, such as
                those of a momentum queue. None: all. For the losses that contrast examples with each other.
            tensors: exactly those that the loss declares, floating point.

        Returns:
            A scalar. Where nothing contributes it is an exact zero that still has a gradient path.

        Raises:
            ValueError: wrong tensors, shapes, types or devices; on the CPU also labels outside {-1, 0, 1} and
                non-finite values (on a GPU, looking at values would wait for the device).
        """
        labels, tensors = self._prepared(labels, epoch, tensors)
        self._check_anchors(anchors, len(labels))
        with torch.autocast(labels.device.type, enabled=False):
            if labels.shape[0] == 0:
                return torch.stack([tensor.sum() * 0 for tensor in tensors.values()]).sum()
            if self._uses_epoch:
                return self.compute(labels, epoch=epoch, **tensors)
            if self.takes_anchors:
                return self.compute(labels, anchors=anchors, **tensors)
            return self.compute(labels, **tensors)

    def _check_anchors(self, anchors: int | None, batch: int) -> None:
        if anchors is None:
            return
        if not self.takes_anchors:
            raise ValueError(
                f"anchors must be None for {self.name}, which does not contrast examples, was {anchors!r}"
            )
        if not isinstance(anchors, int) or not 0 <= anchors <= batch:
            raise ValueError(f"anchors must be a whole number from 0 to {batch}, was {anchors!r}")

    def _prepared(
        self, labels: Tensor, epoch: int, tensors: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The input checked, dense, and the tensors in one type of at least 32 bits."""
        if set(tensors) != set(self.tensors):
            given = ", ".join(tensors) or "none of them"
            raise ValueError(f"{self.name} takes {', '.join(self.tensors)}, was given {given}")
        if not isinstance(epoch, int) or epoch < 0:
            raise ValueError(f"epoch must be a whole number at least 0, was {epoch!r}")
        labels = self._dense(labels)
        sizes = {"batch": labels.shape[0], "labels": labels.shape[1]}
        dtype = torch.float32
        for name in self.tensors:
            _check_tensor(name, tensors[name], sizes, labels.device)
            dtype = torch.promote_types(dtype, tensors[name].dtype)
        if labels.device.type == "cpu" and not torch.compiler.is_compiling():
            _check_values(labels, tensors)
        return labels, {name: tensors[name].to(dtype) for name in self.tensors}

    def _dense(self, labels: Tensor) -> Tensor:
        if not isinstance(labels, Tensor) or labels.ndim != 2 or labels.shape[1] == 0:
            was = f"of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else f"{labels!r}"
            raise ValueError(f"labels must be a tensor of shape (batch, labels), was {was}")
        if labels.is_complex():
            raise ValueError(f"labels must be bool, integer or floating point, was {labels.dtype}")
        if labels.layout == torch.strided:
            return labels
        if not self.takes_sparse_labels:
            raise ValueError(f"labels must be dense for {self.name}, was {labels.layout}")
        return labels.to_dense()


def _check_tensor(name: str, tensor: Tensor, sizes: dict[str, int], device: torch.device) -> None:
    """Check one tensor against the sizes known so far, and note the sizes that it fixes."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        was = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise ValueError(f"{name} must be a floating-point tensor, was {was}")
    axes = _SHAPES[name][: 2 if name in _MAY_LACK_WIDTH and tensor.ndim == 2 else None]
    wanted = tuple(sizes.get(axis, axis) for axis in axes)
    if tensor.ndim != len(axes) or any(sizes.get(a, n) != n for a, n in zip(axes, tensor.shape, strict=True)):
        shape = ", ".join(str(size) for size in wanted)
        raise ValueError(f"{name} must have shape ({shape}), was {tuple(tensor.shape)}")
    if tensor.device != device:
        raise ValueError(f"{name} must be on the device of labels, {device}, was on {tensor.device}")
    sizes.update(zip(axes, tensor.shape, strict=True))


def _check_values(labels: Tensor, tensors: dict[str, Tensor]) -> None:
    if labels.dtype != torch.bool and not torch.equal(labels, labels.sign()):
        wrong = labels[labels != labels.sign()][0].item()
        raise ValueError(f"labels must be -1, 0 or 1, was {wrong}")
    for name, tensor in tensors.items():
        # a sum is the cheapest look at every value; only if it is not finite are the values looked at one by
        # one
        if not tensor.detach().sum().isfinite() and not tensor.detach().isfinite().all():
            wrong = tensor.detach()[~tensor.detach().isfinite()][0].item()
            raise ValueError(f"{name} must be finite, was {wrong}")


def focus(probability: Tensor, gamma: float) -> Tensor:
    """The focusing weight ``probability ** gamma``; the power of an exact zero would have no finite slope."""
    return probability.clamp(min=torch.finfo(probability.dtype).tiny) ** gamma


class ClassificationLoss(Loss):
    """A loss that is a sum over the entries of the label matrix.

    An unobserved entry counts as negative, or, with ``ignore_unobserved``, not at all; then examples without
    any observed entry do not count in the mean over examples either.
    """

    family = "classification"
    ignore_unobserved: bool = IGNORE_UNOBSERVED
    reduction: str = hyperparameter(
        "batch",
        "batch: sum over labels, mean over examples; mean: over entries; sum",
        choices=("batch", "mean", "sum"),
    )

    def reduce(self, labels: Tensor, entries: Tensor) -> Tensor:
        """The entries (batch, labels) of the loss reduced to a scalar."""
        counted = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        total = entries.where(counted, 0).sum()
        if self.reduction == "sum":
            return total
        count = counted.any(dim=1) if self.reduction == "batch" else counted
        return total / count.sum().clamp(min=1)


class LogitLoss(ClassificationLoss):
    """A classification loss whose ``entries(positive, logits, epoch)`` are a function of the logits alone."""

    entries: Callable[..., Tensor]

    def compute(self, labels: Tensor, *, logits: Tensor, epoch: int) -> Tensor:
        """The entries, reduced."""
        return self.reduce(labels, self.entries(labels > 0, logits, epoch))
