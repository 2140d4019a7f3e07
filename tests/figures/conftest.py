from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

ARMS = [
    "bce",
    "asl",
    "prototype",
    "jaccard_supcon",
    "msc",
    "reg",
    "splc+clml",
    "logistic_regression",
    "prior",
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def results():
    """Means with intervals, and the replicates behind them, of nine arms at four label counts."""
    rng = np.random.default_rng(0)
    lines, points = [], []
    for k in (10, 30, 100, 300):
        for rank, arm in enumerate(ARMS):
            values = 0.7 - 0.02 * rank - 0.05 * np.log10(k) + rng.normal(0, 0.01, 5)
            lines.append((arm, k, values.mean(), values.mean() - 0.02, values.mean() + 0.02))
            points += [(arm, k, replicate, value) for replicate, value in enumerate(values)]
    return (
        pd.DataFrame(lines, columns=["loss", "num_labels", "macro_f1", "lower", "upper"]),
        pd.DataFrame(points, columns=["loss", "num_labels", "replicate", "macro_f1"]),
    )


@pytest.fixture
def claims():
    rows = [
        ("contrastive losses are ahead on macro-F1 with many labels (probe column)", "debtags", 3.0, "holds"),
        (
            "contrastive losses are ahead on macro-F1 with many labels (probe column)",
            "emoji",
            1.5,
            "open",
        ),
        ("few labels: BCE-type ahead", "fashion-scenes", -2.8, "opposite"),
        ("ranking metrics: contrastive not ahead", "debtags", 0.1, "no material effect"),
        ("REG ahead of earlier contrastive losses", "emoji", 0.6, "not judged"),
    ]
    frame = pd.DataFrame(rows, columns=["claim", "task", "estimate", "verdict"])
    for side, reach in (("replicate", 1.2), ("bootstrap", 0.8)):
        frame[f"{side}_lower"], frame[f"{side}_upper"] = frame.estimate - reach, frame.estimate + reach
    frame.loc[4, ["replicate_lower", "replicate_upper"]] = np.nan
    return frame.assign(margin=1.0)
