"""What all losses share: declaration of hyperparameters, checks of the input, precision.

A loss is a subclass of :class:`Loss` that declares its hyperparameters as class attributes and computes its
value in ``compute``; the tensors that it takes are the keyword arguments of ``compute``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcl_utils.errors import unknown
from mlcl_utils.losses.info import Family, Hyperparameter, LossInfo

_SHAPES = {
    "embeddings": ("batch", "dim"),
    "views": ("batch", "dim"),
    "confused": ("batch", "dim"),
    "prototypes": ("labels", "dim"),
    "normals": ("labels", "dim"),
    "logits": ("batch", "labels"),
    "features": ("batch", "width"),
    "mean": ("batch", "labels", "width"),
    "variance": ("batch", "labels", "width"),
    "index": ("anchors",),
    "mixed": ("batch", "dim"),
    "partners": ("batch",),
    "mixing": (),
}
_MAY_LACK_WIDTH = ("mean", "variance")  # one value a label stands for all dimensions
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
INDEX = "index"
"""The tensor that says which example of the training part each of the batch is: integers, given in training alone."""
MIXTURES = ("mixed", "partners", "mixing")
"""Mixtures of two examples each, for losses that contrast examples with them: all three are given, or none."""
_WHOLE = (INDEX, "partners")  # tensors of integers
_NO_TENSORS = ("epoch", "anchors", *MIXTURES)  # what a loss may take besides the tensors that it declares


def hyperparameter(default: bool | int | float | str | None, description: str, **bounds: Any) -> Any:
    """A class attribute set from the constructor's arguments; see :class:`Hyperparameter` for the bounds."""
    return Hyperparameter(default, description, **bounds)


def keywords_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


IGNORE_UNOBSERVED = hyperparameter(False, "leave unobserved entries out, instead of taking them as negative")


class Examples(NamedTuple):
    """The values of a batch's examples, which a loss is the mean or the sum of.

    Attributes:
        values: (batch,) with gradient; 0 for the examples that do not count.
        counted: (batch,) bool, the examples that the mean is over.
    """

    values: Tensor
    counted: Tensor


TAU = hyperparameter(
    1.0,
    "shape of the loss: 1 logarithmic, below 1 steeper, up to exponential at 0; above 1 bounded, as 1 - p at 2",
    least=0,
    most=2,
)


class Loss(nn.Module):
    """A loss over a batch: ``criterion(labels, tensor=..., epoch=0)`` gives a scalar.

    Every loss takes the labels first, of shape (batch, labels), bool, integer or floating point, with 1 for
    positive, 0 for negative and -1 for unobserved; then, by keyword, exactly the tensors in
    ``info().tensors``; and ``epoch``, 0-based, which only some of them look at. The arithmetic is done in
    float32, or float64 where an input has it, with autocast disabled, and so is the result.

    A loss that keeps something of each training example declares ``index: Tensor | None`` among its tensors: the
    positions (batch,) of the examples in the training part, in training; none in evaluation mode, which keeps and uses
    nothing of the kind.

    Attributes:
        tensors: names of the tensors that it takes, with these hyperparameters.
        takes_anchors: whether it contrasts examples with each other, and takes more of them as candidates alone.
        takes_mixtures: whether it contrasts examples with mixtures, and takes such as were made elsewhere.
        reported: after a call in training, what to report of the batch where the value is no loss but a surrogate that
            has its gradient; a scalar without gradient. None where the value itself is the loss.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    paper: ClassVar[str]
    version: ClassVar[int]
    takes_sparse_labels: ClassVar[bool] = False
    starts_at_half: ClassVar[bool] = False  # whether logits should start near 0, not at the labels' prior
    compares_examples: ClassVar[bool] = False  # with each other, not with labels alone
    of_own_mixtures: ClassVar[tuple[str, ...]] = ()  # hyperparameters of mixtures that it makes itself
    compute: Callable[..., Tensor]
    examples: Callable[..., Examples]  # as compute, where the loss is a mean or a sum over the examples

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters.

        Raises:
            UsageError: an unknown hyperparameter; suggests the nearest name.
            ValueError: a value out of range; says which, and what it was.
        """
        super().__init__()
        self.reported: Tensor | None = None
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
        self.takes_mixtures = "mixed" in keywords

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
        return keywords_of(cls.compute)

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
        self,
        labels: Tensor,
        *misplaced: object,
        epoch: int = 0,
        anchors: int | None = None,
        **tensors: Tensor,
    ) -> Tensor:
        """The value of the loss on a batch.

        Args:
            labels: (batch, labels), values in {-1, 0, 1}.
            misplaced: nothing may be; the error for tensors that were given without their names shows the call.
            epoch: 0-based number of the epoch.
            anchors: how many examples of the batch, the first, are anchors; the others are candidates alone, such as
                those of a momentum queue. None: all. For the losses that contrast examples with each other.
            tensors: exactly those that the loss declares, floating point; but ``index`` int64, one for each anchor, and
                left out in evaluation mode. For a loss with ``takes_mixtures`` also, all or none of them: ``mixed``
                (batch, dim), embeddings of mixtures of each example with another; ``partners`` (batch,) int64, with
                which; and ``mixing``, a scalar in [0, 1], the share of the first.

        Returns:
            A scalar. Where nothing contributes it is an exact zero that still has a gradient path.

        Raises:
            TypeError: tensors without their names, as in ``criterion(z, y)``.
            ValueError: wrong tensors, shapes, types or devices; on the CPU also labels outside {-1, 0, 1} and
                non-finite values (on a GPU, looking at values would wait for the device).
        """
        check_call(self.name, misplaced, self.tensors)
        labels, tensors = self._prepared(labels, epoch, tensors, anchors)
        with torch.autocast(labels.device.type, enabled=False):
            if labels.shape[0] == 0:
                return _nothing(tensors)
            return self.compute(labels, **self._keywords_for(tensors, epoch, anchors))

    def _keywords_for(self, tensors: dict[str, Tensor], epoch: int, anchors: int | None) -> dict[str, Any]:
        """What ``compute`` is called with."""
        given: dict[str, Any] = {name: tensors.get(name) for name in self.tensors}
        if self._uses_epoch:
            given["epoch"] = epoch
        if self.takes_anchors:
            given["anchors"] = anchors
        if self.takes_mixtures:
            given.update({name: tensors.get(name) for name in MIXTURES})
        return given

    @property
    def by_example(self) -> bool:
        """Whether the loss is a mean or a sum over the examples, so that :meth:`per_example` has values of each."""
        return hasattr(type(self), "examples")

    @property
    def is_sum(self) -> bool:
        """Whether it is the sum over the examples, not the mean."""
        return getattr(self, "reduction", "batch") == "sum"

    def per_example(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Tensor:
        """The values of the examples of a batch, whose mean (``reduction="sum"``: sum) is the value of the loss.

        Args:
            labels, epoch, tensors: as :meth:`forward` takes them.

        Returns:
            (batch,) with gradient. An example that the mean is not over, such as an anchor without a positive, has an
            exact zero; :meth:`example_values` tells which are.

        Raises:
            ValueError: the loss is no mean or sum over examples; or as :meth:`forward`.
        """
        return self.example_values(labels, epoch=epoch, **tensors).values

    def example_values(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Examples:
        """The values of :meth:`per_example`, and which of the examples count."""
        if not self.by_example:
            raise ValueError(
                f"{self.name} is no mean over examples, so that there are no values of each; "
                "losses that have them say so by by_example"
            )
        labels, tensors = self._prepared(labels, epoch, tensors)
        with torch.autocast(labels.device.type, enabled=False):
            if labels.shape[0] == 0:
                empty = labels.new_zeros(0, dtype=torch.bool)
                return Examples(_nothing(tensors).expand(0), empty)
            return self.examples(labels, **self._keywords_for(tensors, epoch, None))

    def expect(self, examples: int) -> None:
        """Make room for what the loss keeps of each training example, of which there are so many.

        Without it a loss that takes ``index`` makes room as examples come, for which it waits on a GPU.
        """

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
        self, labels: Tensor, epoch: int, tensors: dict[str, Tensor], anchors: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The input checked, dense, and the tensors in one type of at least 32 bits."""
        taken = self.tensors
        if self.takes_mixtures and any(name in tensors for name in MIXTURES):
            taken += MIXTURES
        check_names(self.name, tensors, taken, self.training)
        # what is kept of training examples says nothing of others; in their order, for the shapes that each fixes
        wanted = [name for name in taken if self.training or name != INDEX]
        tensors = {name: tensors[name] for name in wanted}
        if not isinstance(epoch, int) or epoch < 0:
            raise ValueError(f"epoch must be a whole number at least 0, was {epoch!r}")
        labels = self._dense(labels)
        self._check_anchors(anchors, len(labels))
        sizes = {"batch": labels.shape[0], "labels": labels.shape[1]}
        sizes["anchors"] = sizes["batch"] if anchors is None else anchors
        dtype = torch.float32
        for name, tensor in tensors.items():
            _check_tensor(name, tensor, sizes, labels.device)
            dtype = torch.promote_types(dtype, tensor.dtype if name not in _WHOLE else dtype)
        if labels.device.type == "cpu" and not torch.compiler.is_compiling():
            _check_values(labels, tensors)
        return labels, {
            name: tensor.long() if name in _WHOLE else tensor.to(dtype) for name, tensor in tensors.items()
        }

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


def check_call(loss: str, misplaced: Sequence[object], taken: Iterable[str]) -> None:
    """Whether a loss was given nothing but the labels without a name.

    Raises:
        TypeError: it was; the message shows the call.
    """
    if misplaced:
        call = ", ".join(("labels", *(f"{name}=..." for name in taken)))
        raise TypeError(
            f"{loss} takes the labels first and its tensors by name, as in criterion({call});"
            f" was given {len(misplaced) + 1} arguments without a name"
        )


def check_names(loss: str, given: Iterable[str], taken: Sequence[str], training: bool) -> None:
    """Whether the tensors that a loss was given are those that it takes; ``index`` only in training.

    Raises:
        ValueError: they are not.
    """
    optional = set() if training else {INDEX}
    if (set(given) ^ set(taken)) - (optional & set(taken)):
        words = ", ".join(given) or "none of them"
        raise ValueError(f"{loss} takes {', '.join(taken)}, was given {words}")


def _nothing(tensors: dict[str, Tensor]) -> Tensor:
    """An exact zero with a gradient path to every tensor."""
    return torch.stack([tensor.sum() * 0 for name, tensor in tensors.items() if name not in _WHOLE]).sum()


def _check_tensor(name: str, tensor: Tensor, sizes: dict[str, int], device: torch.device) -> None:
    """Check one tensor against the sizes known so far, and note the sizes that it fixes."""
    kind = "n integer" if name in _WHOLE else " floating-point"
    fits = isinstance(tensor, Tensor) and (
        tensor.dtype in _INTEGERS if name in _WHOLE else tensor.is_floating_point()
    )
    if not fits:
        was = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise ValueError(f"{name} must be a{kind} tensor, was {was}")
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
        if name in _WHOLE:
            if (tensor < 0).any():
                raise ValueError(f"{name} must be at least 0, was {tensor.min().item()}")
            if name == "partners" and (tensor >= len(labels)).any():
                raise ValueError(f"partners must be below {len(labels)}, was {tensor.max().item()}")
            continue
        # a sum is the cheapest look at every value; only if it is not finite are the values looked at one by
        # one
        if not tensor.detach().sum().isfinite() and not tensor.detach().isfinite().all():
            wrong = tensor.detach()[~tensor.detach().isfinite()][0].item()
            raise ValueError(f"{name} must be finite, was {wrong}")
        if name == "mixing" and not 0 <= tensor <= 1:
            raise ValueError(f"mixing must be at least 0 and at most 1, was {tensor.item():g}")


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x); torch's own takes x for it from 20 on, which is off by 2e-9."""
    return F.softplus(x, threshold=40)


def comp_sum(log_total: Tensor, tau: float) -> Tensor:
    """Φ(u) = ((1+u)^{1-τ} - 1)/(1-τ) of log(1+u), which it is itself at τ = 1 (Mao, Mohri, Zhong, 2304.07288)."""
    if abs(tau - 1) < 1e-6:
        return log_total
    return torch.expm1((1 - tau) * log_total) / (1 - tau)


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

    def counted(self, labels: Tensor) -> Tensor:
        """The entries (batch, labels) that count, bool: all of them, or those observed."""
        return labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)

    def reduce(self, labels: Tensor, entries: Tensor) -> Tensor:
        """The entries (batch, labels) of the loss reduced to a scalar."""
        counted = self.counted(labels)
        total = entries.where(counted, 0).sum()
        if self.reduction == "sum":
            return total
        count = counted.any(dim=1) if self.reduction == "batch" else counted
        return total / count.sum().clamp(min=1)

    def example_rows(self, labels: Tensor, entries: Tensor) -> Examples:
        """The entries (batch, labels) of the loss summed for each example, scaled as the reduction asks."""
        observed = self.counted(labels)
        rows, counted = entries.where(observed, 0).sum(dim=1), observed.any(dim=1)
        if self.reduction == "mean":  # over entries, of which examples may have different numbers
            rows = rows * (counted.sum() / observed.sum().clamp(min=1))
        return Examples(rows, counted)


class LogitLoss(ClassificationLoss):
    """A classification loss whose ``entries(positive, logits, epoch)`` are a function of the logits alone."""

    entries: Callable[..., Tensor]

    def compute(self, labels: Tensor, *, logits: Tensor, epoch: int) -> Tensor:
        """The entries, reduced."""
        return self.reduce(labels, self.entries(labels > 0, logits, epoch))

    def examples(self, labels: Tensor, *, logits: Tensor, epoch: int) -> Examples:
        """The entries, summed for each example."""
        return self.example_rows(labels, self.entries(labels > 0, logits, epoch))
