"""Feature extraction: a frozen encoder's output for every example of a data set, computed once and kept.

``open_encoder`` makes an encoder ready, of torchvision or Hugging Face, and ``extract`` runs a data set through it into
the files that `mlcl_utils.data.features` describes; ``distil`` makes of it the word vectors that
`mlcl_utils.data.vectors` describes.
"""

from __future__ import annotations

from mlcl_utils.features.base import FeatureEncoder
from mlcl_utils.features.encoders import open_encoder
from mlcl_utils.features.extraction import extract
from mlcl_utils.features.static import distil

__all__ = ["FeatureEncoder", "distil", "extract", "open_encoder"]
