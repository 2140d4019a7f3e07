"""Text encoders of Hugging Face, trained end to end."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from mlcl_utils.features.encoders import open_encoder
from mlcl_utils.features.transformer import TextEncoder, mean_over_tokens
from mlcl_utils.models.bag import BagOfWords
from mlcl_utils.models.encoder import PARTS, Encoder, Rows
from mlcl_utils.models.pretrained import Pretrained

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset, Task

PADDING = -1
"""Stands behind the tokens of a text."""


class TextTransformer(Encoder):
    """A transformer; its representation is the mean of the last hidden states over the tokens of a text.

    In training its own dropout is at work.

    Args:
        model: the transformer.
        padding: the token that it wants in place of :data:`PADDING`.

    Attributes:
        source: which model, and how many tokens of a text it reads.
    """

    source: ClassVar[Pretrained]
    evaluation_batch = 128

    def __init__(self, model: nn.Module, *, padding: int) -> None:
        super().__init__()
        self.model, self._padding = model, padding
        self.width = int(cast("Any", model).config.hidden_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation (batch, width) of token numbers (batch, tokens), :data:`PADDING` behind them."""
        mask = inputs != PADDING
        tokens = torch.where(mask, inputs, self._padding).long()
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return mean_over_tokens(states, mask)

    @property
    def network(self) -> nn.Module:
        """The pretrained network."""
        return self.model

    @classmethod
    def inputs(cls, task: Task) -> dict[str, Rows]:
        """Token numbers int32 (n, tokens)."""
        store = _tokens(task.dataset, cls.source)
        return {
            name: Rows(store, torch.from_numpy(getattr(task, name).index).long(), padding=PADDING)
            for name in PARTS
        }

    @staticmethod
    def raw(task: Task) -> dict[str, Any]:
        """TF-IDF, as the encoder ``bag`` has it."""
        return BagOfWords.raw(task)

    @classmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """The transformer with its pretrained weights; nothing of the data goes into it.

        Raises:
            DataError: it cannot be read.
        """
        opened = _opened(cls.source)
        model: Any = opened.model.requires_grad_(True)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # not used, and several devices wait for the gradient of every parameter
        padding = opened.tokenizer.pad_token_id
        return cls(model, padding=0 if padding is None else int(padding))


def _opened(source: Pretrained) -> TextEncoder:
    return cast("TextEncoder", open_encoder(source.base, "text", max_tokens=source.size))


@functools.lru_cache(maxsize=2)
def _tokens(dataset: Dataset, source: Pretrained) -> Tensor:
    """The token numbers of all texts, int32 (N, tokens)."""
    numbers = _opened(source).numbers(dataset.texts())
    store = torch.full((len(numbers), max(map(len, numbers), default=1)), PADDING, dtype=torch.int32)
    for row, own in zip(store, numbers, strict=True):
        row[: len(own)] = torch.tensor(own, dtype=torch.int32)
    return store
