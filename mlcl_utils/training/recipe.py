"""How an encoder is trained. No torch here: configurations are written and compared without it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from mlcl_utils import models
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.written import MOST, finite

SETTINGS: dict[str, tuple[type[int] | type[float], float, float] | tuple[str, ...] | type[bool]] = {
    "batch_size": (int, 1, MOST + 1),
    "learning_rate": (float, 0, math.inf),
    "warm_up": (float, 0, 1),
    "weight_decay": (float, 0, math.inf),
    "dropout": (float, 0, 1),
    "width": (int, 1, MOST + 1),
    "table_rate": (float, 0, math.inf),
    "loss_scale": (float, 0, math.inf),
    "augment": ("none", "crop", "strong"),
    "accumulate": (int, 1, MOST + 1),
    "ema": (float, 0, 1),
    "queue": (int, 0, MOST + 1),
    "momentum": (float, 0, 1),
    "compile": bool,
    "head": ("linear", "hyperbolic", "clipped"),
    "prototypes": ("learned", "equiangular", "random"),
    "bias": ("loss", "prior", "zero"),
    "reweight": ("none", "linupper", "quadratic", "extremes", "upper"),
    "reweight_unit": ("example", "entry"),
    "reweight_spread": (float, 1e-3, math.inf),
    "reweight_after": (float, 0, 1),
    "mix": ("none", "input", "feature"),
    "mix_alpha": (float, 1e-3, math.inf),
    "keep": ("last", "best"),
}
"""What of a recipe may be set by name: type, least value and what it has to be below; or the words there are."""


def check_setting(name: str, value: Any) -> None:
    """Whether a value is possible for a setting.

    Raises:
        UsageError: it is not, or there is no such setting; the nearest name is suggested.
    """
    if name not in SETTINGS:
        raise unknown("setting of training", name, SETTINGS)
    allowed = SETTINGS[name]
    if allowed is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{name} must be true or false, was {value!r}")
    elif isinstance(allowed, tuple) and isinstance(allowed[0], str):
        if value not in allowed:
            raise UsageError(f"{name} must be one of {', '.join(map(str, allowed))}, was {value!r}")
    else:
        kind, least, below = allowed
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        if not number or not (least <= value < below and finite(value)):
            what = "a whole number" if kind is int else "a number"
            told = below <= 1 or (number and math.isfinite(below) and value >= below)
            limit = f" and below {below:,}" if told else ""
            raise UsageError(f"{name} must be {what} of at least {least:g}{limit}, was {value!r}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an encoder is trained: everything but the data and the loss.

    Attributes:
        epochs: passes over the training part.
        min_steps: a small training part is gone over again until this many steps are made, so that
            an arm with little data is not an arm with little training.
        batch_size: examples a step; the last batches of an epoch are evened out.
        learning_rate: peak of the schedule (linear warm-up, then cosine to zero over the whole budget).
        warm_up: share of the steps in which the rate rises, in [0, 1).
        weight_decay: decoupled, as in AdamW.
        dropout: in the encoder's MLP.
        width: of the representation; features with fewer dimensions keep theirs.
        table_rate: peak learning rate of word embeddings, whose gradient is sparse; the same schedule.
        loss_scale: what the loss is multiplied by.
        augment: how images are changed in training, for encoders that do: ``none``, ``crop`` (flips and crops) or
            ``strong`` (flips, RandAugment and a part that is erased).
        accumulate: parts that a batch is encoded in, one after the other, where the device cannot hold it at once. The
            loss is that of the whole batch all the same.
        ema: decay of a moving average of the weights, which is then what training gives; 0 for none.
        queue: embeddings of past batches that a loss which contrasts examples with each other has as further
            candidates; 0 for none. Other losses do without.
        momentum: decay of the moving average that those embeddings come from.
        compile: whether the encoder is compiled by ``torch.compile``.
        head: what gives a loss its logits: ``linear``; ``hyperbolic``, planes of the Poincaré ball; or ``clipped``, the
            same head in flat space, its control. For losses that take logits.
        prototypes: ``learned``; ``equiangular``, fixed and as far from each other as can be; or ``random``, fixed, its
            control. For losses that take prototypes.
        bias: where the classifier's bias starts: ``prior``, at the logit of the labels' prior; ``zero``; or ``loss``,
            where the loss asks for: at zero for one that learns from answers near one half alone, such as ``anyloss``,
            at the prior for all others.
        reweight: how the examples of a batch are weighed by their own loss: ``none``, or a shape of
            :func:`mlcl_utils.training.reweighting.weights`.
        reweight_unit: whether examples are weighed, or the entries of every label among each other.
        reweight_spread: how equal the weights are.
        reweight_after: share of the steps that is made before, with the plain loss, in [0, 1).
        mix: whether training mixes each example with another one of the batch: ``none``; ``input``, before the encoder,
            where its inputs are measured; or ``feature``, the representations. See
            :mod:`mlcl_utils.training.mixing`.
        mix_alpha: of the distribution Beta(α, α) that the share of a mixture is drawn from, once a step.
        keep: which weights are read: the ``last``, or the ``best`` of six checkpoints, by the validation mAP of a ridge
            classifier on the representation, whatever the loss.
    """

    epochs: int
    min_steps: int = 200
    batch_size: int = 256
    learning_rate: float = 2e-3
    warm_up: float = 0.05
    weight_decay: float = 1e-2
    dropout: float = 0.3
    width: int = 640
    table_rate: float = 1e-2
    loss_scale: float = 1.0
    augment: Literal["none", "crop", "strong"] = "crop"
    accumulate: int = 1
    ema: float = 0.0
    queue: int = 0
    momentum: float = 0.999
    compile: bool = False
    head: Literal["linear", "hyperbolic", "clipped"] = "linear"
    prototypes: Literal["learned", "equiangular", "random"] = "learned"
    bias: Literal["loss", "prior", "zero"] = "loss"
    reweight: Literal["none", "linupper", "quadratic", "extremes", "upper"] = "none"
    reweight_unit: Literal["example", "entry"] = "example"
    reweight_spread: float = 1.0
    reweight_after: float = 0.05
    mix: Literal["none", "input", "feature"] = "none"
    mix_alpha: float = 2.0
    keep: Literal["last", "best"] = "last"

    @classmethod
    def of(cls, encoder: str, *, epochs: int, steps_per_epoch: int = 0) -> Recipe:
        """The recipe of an encoder, chosen on the validation score of BCE.

        Args:
            encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
            epochs: of a study; an encoder that learns pixels from nothing goes over the data more often.
            steps_per_epoch: optimisation steps, per epoch asked for, that a small training part gets at least.
        """
        own: dict[str, Any] = _OWN.get(models.kind(encoder), {})
        return cls(
            **{"epochs": math.ceil(epochs * own.get("epochs", 1)), "min_steps": steps_per_epoch * epochs}
            | {name: value for name, value in own.items() if name != "epochs"}
        )

    def epochs_for(self, examples: int) -> int:
        """Epochs made over a training part of this many examples."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(examples)))

    def steps_per_epoch(self, examples: int) -> int:
        """Steps in one pass over this many examples."""
        return max(1, math.ceil(examples / self.batch_size))


# What differs from the defaults above, by kind of encoder; epochs are a factor.
_OWN: dict[str, dict[str, Any]] = {
    "mlp": {"epochs": 2, "batch_size": 128, "dropout": 0.5, "width": 512, "keep": "best"},
    "bag": {"width": 256},
    "static": {"width": 256},
    "cnn": {"epochs": 1.5, "batch_size": 128, "learning_rate": 5e-3, "width": 256},
    "torchvision": {"batch_size": 64, "learning_rate": 1e-4},
    "transformers": {"batch_size": 32, "learning_rate": 5e-5},
}
