"""Text and image encoders of Hugging Face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlcl_utils.data.dataset import Modality
from mlcl_utils.data.images import decode, rgb
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features.base import Example, FeatureEncoder
from mlcl_utils.paths import expanded


def open_model(
    name: str, location: str, modality: Modality, max_tokens: int, device: torch.device
) -> FeatureEncoder:
    """The model in a folder, or of a name on the hub.

    Weights are read from safetensors files only, and no code of the model's is run.

    Raises:
        UsageError: transformers is not installed.
        DataError: the model cannot be read.
    """
    try:
        import transformers
    except ImportError:
        raise UsageError(
            "Hugging Face encoders need transformers: pip install -e '.[transformers]'"
        ) from None
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    short = name.rstrip("/").rpartition("/")[2]
    location = str(expanded(location)) if expanded(location).is_dir() else location
    prepares = transformers.AutoTokenizer if modality == "text" else transformers.AutoImageProcessor
    try:
        model, loaded = transformers.AutoModel.from_pretrained(
            location, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        preparer = prepares.from_pretrained(location, trust_remote_code=False)
    except Exception as error:  # of many kinds: no such model, no network, no safetensors, a damaged file
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"encoder '{location}' cannot be read as a Hugging Face {modality} model: {reason}"
        ) from None
    missing = sorted(loaded["missing_keys"])
    if missing and all(name.startswith("pooler.") for name in missing):
        model.pooler = None  # or else its weights would be drawn
    elif missing:
        raise DataError(f"encoder '{location}' lacks weights, such as '{missing[0]}'")
    if modality == "text":
        return TextEncoder(short, model, preparer, max_tokens, device)
    return ImageEncoder(short, model, preparer, device)


class TextEncoder(FeatureEncoder):
    """The mean of a transformer's last hidden states over the tokens of a text.

    Args:
        name: of the model.
        model: the transformer.
        tokenizer: its tokenizer.
        max_tokens: tokens that are read; the model's own limit where that is smaller.
        device: of the model.
    """

    reads = "text"

    def __init__(
        self, name: str, model: nn.Module, tokenizer: Any, max_tokens: int, device: torch.device
    ) -> None:
        super().__init__(name, model, device)
        limit = getattr(model.config, "max_position_embeddings", None) or max_tokens
        self.tokenizer, self._tokens = tokenizer, min(max_tokens, limit, tokenizer.model_max_length)
        fast = getattr(tokenizer, "backend_tokenizer", None)
        words = sorted(tokenizer.get_vocab().items()) if fast is None else fast.to_str()
        # now, since a tokenizer in use says something else of itself
        self._preparation = f"mean over at most {self._tokens} tokens of {words}"

    @property
    def preparation(self) -> str:
        """The mean over tokens, their limit, and the tokenizer."""
        return self._preparation

    def prepare(self, examples: Sequence[Example]) -> Any:
        """Token numbers and attention mask, padded to the longest text of the batch."""
        texts = [text for _, text in examples]
        return self.tokenizer(
            texts, padding=True, truncation=True, max_length=self._tokens, return_tensors="pt"
        )

    def numbers(self, texts: Sequence[str]) -> list[list[int]]:
        """The token numbers of each text, not padded."""
        found: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self._tokens)[
            "input_ids"
        ]
        return found

    def encode(self, batch: Any) -> Tensor:
        """Mean over the tokens, without the padding."""
        batch = batch.to(self.device)
        states = self.model(**batch).last_hidden_state
        return mean_over_tokens(states, batch["attention_mask"]).float()


class ImageEncoder(FeatureEncoder):
    """What an image transformer calls its pooled output, or else the mean over its last hidden states.

    Args:
        name: of the model.
        model: the transformer.
        processor: prepares images for it.
        device: of the model.
    """

    reads = "image"

    def __init__(self, name: str, model: nn.Module, processor: Any, device: torch.device) -> None:
        super().__init__(name, model, device)
        self._processor = processor

    @property
    def preparation(self) -> str:
        """The settings of the processor."""
        return str(self._processor.to_json_string())

    def prepare(self, examples: Sequence[Example]) -> Tensor:
        """Float32 (n, 3, height, width)."""
        images = [rgb(decode(source, example)) for example, source in examples]
        pixels: Tensor = self._processor(images=images, return_tensors="pt")["pixel_values"]
        return pixels

    def encode(self, batch: Tensor) -> Tensor:
        """The pooled output, or the mean over tokens or places."""
        output = self.model(pixel_values=batch.to(self.device))
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            states = output.last_hidden_state
            pooled = states.mean(dim=1) if states.ndim == 3 else states.mean(dim=(2, 3))
        features: Tensor = pooled.flatten(1).float()
        return features


def mean_over_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Mean (batch, width) of hidden states (batch, tokens, width) over the tokens that a mask (batch, tokens) has."""
    weight = mask.unsqueeze(-1).to(states.dtype)
    mean: Tensor = (states * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
    return mean
