"""Train a network of your own with a loss of this package, on a set in the MULAN layout.

python examples/train_your_own.py FOLDER SET [LOSS]
"""

import sys

import torch
from torch import nn

from mlcl_utils import data, losses, metrics
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION
from mlcl_utils.models import heads


def main(folder: str, name: str, loss: str = "reg", epochs: int = 30) -> dict[str, float]:
    """Train on the training part, tune thresholds on the validation part, and return the metrics of the test part."""
    torch.manual_seed(0)
    dataset = data.load(f"mulan:{name}", folder)
    part = torch.from_numpy(dataset.splits[0].copy())
    x = torch.from_numpy(dataset.features.astype("float32"))
    y = torch.from_numpy(dataset.labels.copy())
    x = (x - x[part == TRAIN].mean(dim=0)) / x[part == TRAIN].std(dim=0).clamp(min=1e-6)

    network = nn.Sequential(nn.Linear(x.shape[1], 256), nn.ReLU(), nn.Dropout(0.3))
    criterion = losses.create(loss)
    top = heads.for_loss(criterion, width=256, labels=y.shape[1])
    optimiser = torch.optim.AdamW([*network.parameters(), *top.parameters()], lr=1e-3)
    rows = (part == TRAIN).nonzero().squeeze(1)
    for epoch in range(epochs):
        for batch in rows[torch.randperm(len(rows))].split(128):
            value = criterion(y[batch], **top(network(x[batch])), epoch=epoch)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()

    scores = top.eval().scores(network.eval()(x))
    if scores is None:
        sys.exit(
            f"{loss} has neither logits nor prototypes to predict by: add one that has, as in {loss}+bce"
        )
    thresholds = metrics.tune_thresholds(y[part == VALIDATION], scores[part == VALIDATION])
    return metrics.evaluate(y[part == TEST], scores[part == TEST], thresholds)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    print(", ".join(f"{name} {value:.3f}" for name, value in main(*sys.argv[1:4]).items()))
