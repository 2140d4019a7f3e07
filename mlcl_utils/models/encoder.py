"""What every encoder has: the inputs that it reads from a task, and its making from the training part."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from mlcl_utils.data import Task
    from mlcl_utils.training.recipe import Recipe

PARTS = ("train", "validation", "test")


class Encoder(nn.Module):
    """Turns a batch of inputs into a representation of shape (batch, ``width``).

    In training mode it may drop and shift parts of its inputs, by torch's random state: a second pass over the same
    batch is then another view of the same examples.

    Attributes:
        width: of the representation.
    """

    width: int

    @staticmethod
    @abstractmethod
    def inputs(task: Task) -> dict[str, Tensor]:
        """The inputs of the three parts of a task by name, one row an example, on the CPU."""

    @staticmethod
    @abstractmethod
    def raw(task: Task) -> dict[str, Any]:
        """What the baselines without an encoder read, by part: a float32 tensor or a sparse SciPy matrix (n, d)."""

    @classmethod
    @abstractmethod
    def create(cls, train: Tensor, recipe: Recipe) -> Self:
        """An untrained encoder; what it standardises by comes from the training inputs, weights are drawn.

        Args:
            train: the training inputs.
            recipe: gives width and dropout.
        """

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation of shape (batch, width)."""
        raise NotImplementedError
