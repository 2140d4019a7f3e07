"""The optimisers of a training, and the schedule of their rates."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import nn

from mlcl_utils.training.recipe import Recipe


class Optimisers:
    """AdamW, and for embeddings whose gradient is sparse a SparseAdam with a peak rate of its own.

    Args:
        modules: whose parameters they move.
        recipe: rates and weight decay, and the share of the schedule that warms up.
        device: where the parameters are.
        steps: of the whole budget, the schedule's horizon.

    Attributes:
        dense: the parameters whose gradient is not sparse.
    """

    def __init__(
        self, modules: Iterable[nn.Module], recipe: Recipe, device: torch.device, *, steps: int
    ) -> None:
        modules = list(modules)
        tables = [
            module.weight
            for root in modules
            for module in root.modules()
            if isinstance(module, nn.EmbeddingBag) and module.sparse
        ]
        found = {id(table) for table in tables}
        self.dense = [p for module in modules for p in module.parameters() if id(p) not in found]
        self._recipe, self._steps = recipe, steps
        self._each: list[tuple[torch.optim.Optimizer, float]] = [
            (
                torch.optim.AdamW(
                    self.dense,
                    lr=recipe.learning_rate,
                    weight_decay=recipe.weight_decay,
                    fused=device.type == "cuda",
                ),
                recipe.learning_rate,
            )
        ]
        if tables:
            # a large epsilon: the usual one moves a word that two texts hold as far as one that thousands hold
            sparse = torch.optim.SparseAdam(tables, lr=recipe.table_rate, eps=1e-4)
            self._each.append((sparse, recipe.table_rate))

    def factor(self, step: int) -> float:
        """Share of the peak learning rate: a linear warm-up, then a cosine to zero over the whole budget."""
        warm = max(1, round(self._recipe.warm_up * self._steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, self._steps - warm))))

    def clear(self) -> None:
        """Forget the gradients."""
        for optimiser, _ in self._each:
            optimiser.zero_grad(set_to_none=True)

    def step(self, number: int) -> None:
        """Clip the dense gradients together at norm 1 and take a step.

        Args:
            number: of the step, from 0.
        """
        nn.utils.clip_grad_norm_(self.dense, 1.0)
        for optimiser, peak in self._each:
            for group in optimiser.param_groups:
                group["lr"] = peak * self.factor(number)
            optimiser.step()

    def state_dict(self) -> list[dict[str, object]]:
        """The states of all optimisers."""
        return [optimiser.state_dict() for optimiser, _ in self._each]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        """Go on from their states, which are copied."""
        for (optimiser, _), state in zip(self._each, states, strict=True):
            optimiser.load_state_dict(copy.deepcopy(state))  # it would share the state's tensors
