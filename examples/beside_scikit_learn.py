"""The estimator beside scikit-learn's own on classic sets in MULAN's layout: scores on the test part, and times.

python examples/beside_scikit_learn.py FOLDER [SET ...]
"""

import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlcl_utils import data, metrics
from mlcl_utils.data.splits import TEST
from mlcl_utils.estimator import MultiLabelContrastiveClassifier

SEEDS = 3
ARMS = {
    "OneVsRest(LogisticRegression)": lambda seed: OneVsRestClassifier(LogisticRegression(max_iter=1000)),
    "MLPClassifier": lambda seed: MLPClassifier(early_stopping=True, random_state=seed),
    **{
        f"ours, {loss}": lambda seed, loss=loss: MultiLabelContrastiveClassifier(loss, random_state=seed)
        for loss in ("bce", "reg", "msc")
    },
}


def main(folder: str, names: list[str]) -> None:
    """Print a row for each set and arm: the mean over seeds."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| set | arm | mAP | macro-F1 | micro-F1 | seconds |\n|---|---|---|---|---|---|")
    for name in names:
        dataset = data.load(f"mulan:{name}", folder)
        test = dataset.splits[0] == TEST
        x, y = dataset.features.astype(np.float32), (dataset.labels == 1).astype(int)
        for arm, make in ARMS.items():
            rows = [score(make(seed), x[~test], y[~test], x[test], y[test]) for seed in range(SEEDS)]
            *percent, seconds = np.mean(rows, axis=0) * [100, 100, 100, 1]
            print(f"| {name} | {arm} | {' | '.join(f'{value:.1f}' for value in percent)} | {seconds:.1f} |")


def score(estimator, x, y, x_test, y_test) -> list[float]:
    """mAP, macro- and micro-F1 on the test part, and seconds of fitting."""
    model = make_pipeline(StandardScaler(), estimator)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels that no training example has
        model.fit(x, y)
    seconds = time.perf_counter() - start
    predicted = model.predict(x_test) == 1
    precision = np.nanmean(metrics.average_precision(y_test, model.predict_proba(x_test)))
    return [
        float(precision),
        metrics.macro_f1(y_test, predicted),
        metrics.micro_f1(y_test, predicted),
        seconds,
    ]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:] or ["emotions", "scene", "enron"])
