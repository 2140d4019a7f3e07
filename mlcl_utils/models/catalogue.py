"""The catalogue of encoders: a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlcl_utils.data.dataset import Modality

STATIC = "static"
"""The encoder that starts from word vectors, which are of a data set."""

LAST_STAGE = "last_stage"
"""The encoder that trains the last stage of a pretrained network, which may be named."""

OURS: dict[str, tuple[str, Modality | None]] = {
    "frozen": ("frozen.FrozenFeatures", None),
    "mlp": ("mlp.PlainMLP", None),
    "bag": ("bag.BagOfWords", "text"),
    STATIC: ("static.StaticWords", "text"),
    "cnn": ("cnn.SmallCNN", "image"),
    LAST_STAGE: ("last_stage.LastStage", "image"),
}
"""Name of an encoder of ours: module and class, and the modality of the raw examples that it reads; None if it reads
frozen features."""

WORD_TABLES = frozenset({"bag", STATIC})
"""Those that learn a table of word embeddings, whose gradient is sparse."""

PRETRAINED: dict[str, tuple[str, Modality]] = {
    "torchvision": ("backbone.ImageBackbone", "image"),
    "transformers": ("transformer.TextTransformer", "text"),
}
"""Library of pretrained encoders: the same."""


def encoder_names() -> tuple[str, ...]:
    """Names of our own encoders."""
    return tuple(OURS)
