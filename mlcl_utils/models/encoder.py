"""What every encoder has: the inputs that it reads from a task, and its making from the training part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from mlcl_utils.data import Task

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Rows:
    """Some rows of a store that is too large to be copied, such as one that is mapped into memory.

    Attributes:
        store: (N, ...) the inputs of all examples.
        index: int64 (n,) the rows that are meant.
        padding: a value at the end of a row that is no input: columns that hold nothing else are left out of a batch.
    """

    store: Tensor
    index: Tensor
    padding: int | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """The inputs of a batch of positions, copied."""
        rows = self.store[self.index[positions]]
        if self.padding is None:
            return rows
        longest = int((rows != self.padding).sum(dim=1).max()) if len(rows) else 1
        return rows[:, : max(1, longest)]


Inputs = Tensor | Rows
"""One row per example, on the CPU."""


class Encoder(nn.Module):
    """Turns a batch of inputs into a representation of shape (batch, ``width``).

    In training mode it may drop and shift parts of its inputs, by torch's random state: a second pass over the same
    batch is then another view of the same examples.

    Attributes:
        width: of the representation.
        evaluation_batch: examples at a time where no gradient is needed.
        mixes_inputs: whether its inputs are measured, such as pixels, so that a mixture of two is an input again; then
            it has :meth:`prepared` and :meth:`encoded`.
    """

    width: int
    evaluation_batch: ClassVar[int] = 4096
    mixes_inputs: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def inputs(task: Task) -> Mapping[str, Inputs]:
        """The inputs of the three parts of a task by name, one row per example, on the CPU."""

    @staticmethod
    @abstractmethod
    def raw(task: Task) -> dict[str, Any]:
        """What the baselines without an encoder read, by part: a float32 tensor or a sparse SciPy matrix (n, d)."""

    @classmethod
    @abstractmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """An encoder before training; what it standardises by comes from the training inputs.

        Weights are drawn by torch's random state, or are those of a pretrained encoder.

        Args:
            train: the training inputs.
            width: of the representation, for encoders that choose theirs.
            dropout: probability of dropping a part of the inputs or a unit in training, for encoders that do.
            augment: how images are changed in training, for encoders that do: ``none``, ``crop`` or ``strong``.
        """

    @property
    def network(self) -> nn.Module:
        """What is worth compiling: the encoder without what it does to its inputs."""
        return self

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Representation of shape (batch, width)."""

    def prepared(self, inputs: Tensor) -> Tensor:
        """What :meth:`encoded` takes: the inputs in floating point, as training changes them, and standardised."""
        raise NotImplementedError(f"{type(self).__name__} does not mix its inputs")

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation of shape (batch, width) of prepared inputs."""
        raise NotImplementedError(f"{type(self).__name__} does not mix its inputs")
