"""The kernel mixture study: its grid, dead terms, and comparisons that follow the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import figures, judgements, published, tuning
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.kernel_mixture import PARTS, VARIANTS, variant_of
from mlcl_utils.studies.kernel_mixture.measures import dead, health, reliability, tasks
from mlcl_utils.training import BASELINES
from tests.studies import made

STUDY = studies.get("06_kernel_mixture")


@pytest.fixture(autouse=True)
def _no_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made up here is judged whatever headroom real runs have found."""
    monkeypatch.setattr(published, "piloted", frozenset)


def grid(**given) -> list[RunConfig]:
    return STUDY.grid(STUDY.resolve(given))


def test_every_variant_is_there_and_the_parts_are_nested():
    configs = grid(preset="quick")
    assert len({config.id for config in configs}) == len(configs)
    for dataset, labels in (("fashion-scenes", 10), ("debtags", 100)):
        for replicate in (0, 1):
            own = [c for c in configs if (c.dataset, c.replicate) == (dataset, replicate)]
            assert {config.num_labels for config in own} == {labels}
            found = [variant_of(config) for config in own]
            assert [each.arm for each in found if each] == [each.arm for each in VARIANTS.values()]
            assert {"bce", "asl", "random_encoder"} <= {config.loss for config in own}
    terms = [
        {name for name in ("reconstruction", "contrastive") if VARIANTS[part].hyperparameters.get(name, 1.0)}
        for part in PARTS
    ]
    assert terms == [set(), {"reconstruction"}, {"reconstruction", "contrastive"}]


def test_variants_have_looks_in_nested_order():
    names = [each.arm for each in VARIANTS.values()]
    assert style.order(sorted(names)) == names
    looks = [style.look(name) for name in names]
    assert len({look.label for look in looks}) == len({look.marker for look in looks}) == len(names)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"variants": ["asl", "contrst"]}, "unknown variant 'contrst'; did you mean 'contrast'"),
        ({"variants": ["contrast"]}, "variants lacks 'asl'"),
        ({"variants": []}, "variants"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_every_variant_is_tuned_on_its_own_and_stays_what_it_is():
    tried = tuning.trials(grid(preset="quick", trials=3, datasets="debtags", replicates=1), 3)
    by_task: dict = {}
    for config in tried:
        by_task.setdefault(tuning.task(config), []).append(config)
    assert len(by_task) == len(VARIANTS) + 2
    assert {len(several) for several in by_task.values()} == {3}
    kernels = [several for task, several in by_task.items() if task[2].startswith("kmcl")]
    for several in kernels:
        assert len({variant_of(config).arm for config in several}) == 1
        assert all("temperature" in config.hyperparameters for config in several[1:])
        assert [config.recipe for config in several] == [config.recipe for config in kernels[0]]


def execution(
    folder: Path,
    *,
    reconstruction: float = 0.02,
    contrast: float = 0.01,
    rbf: float = 0.0,
    others: float = 0.0,
    underflow: float = 0.9,
    saturated: float = 0.9,
    ratio: float = 1.0,
    order: float = 0.5,
    baseline: float = 0.3,
    replicates: int = 5,
) -> Execution:
    """ASL in KMCL at 50%; what each part adds, and what of it is alive."""
    parameters = STUDY.resolve({"preset": "smoke", "variants": list(VARIANTS), "replicates": replicates})
    values = {
        "asl": 0.5,
        "reconstruction": 0.5 + reconstruction,
        "contrast": 0.5 + reconstruction + contrast,
        "rbf": 0.5 + reconstruction + contrast + rbf,
    }
    by_arm = {VARIANTS[name].arm: value for name, value in values.items()}
    bins = np.stack(
        [np.column_stack([np.arange(1, 11), factor * np.arange(1, 11), np.full(10, 5)]) for factor in (1, 2)]
    )
    runs = []
    for config in STUDY.grid(parameters):
        variant = variant_of(config)
        value = baseline if config.loss in BASELINES else 0.5 + others
        if variant is not None:
            value = by_arm.get(variant.arm, 0.5)
        value += 0.001 * config.replicate
        metrics = {f"probe_{name}": value for name in ("map", "validation_map", "macro_f1", "ranking_loss")}
        if variant is not None:
            metrics |= {"kappa_underflow": underflow, "rho_saturated": saturated}
            metrics |= {f"gradient_{name}": 1.0 for name in ("asl", "reconstruction", "contrastive")}
            metrics |= {
                "variance_ratio": ratio,
                "variance_rank": order,
                "direct_map": 0.1,
                "direct_validation_map": 0.1,
            }
        runs.append(made.run(folder, config, metrics, {"reliability": bins} if variant else None))
    return made.execution(STUDY, parameters, folder, runs)


def rows(study: Execution, name: str) -> dict[str, tuple[float, str]]:
    """The estimates of a comparison with the side of zero that their intervals lie on, by what is compared."""
    own = study.comparisons[study.comparisons["name"] == name]
    side = np.where(own["lower"] > 0, "above", np.where(own["upper"] < 0, "below", "across"))
    return dict(zip(own["compared"], zip(own["estimate"], side, strict=True), strict=True))


def test_comparisons_follow_the_numbers(tmp_path):
    helped = execution(tmp_path / "a")
    assert rows(helped, "kmcl_reconstruction") == {
        "KMCL w/o contrast − ASL in KMCL": (pytest.approx(2.0), "above")
    }
    assert rows(helped, "kmcl_contrast") == {"KMCL − KMCL w/o contrast": (pytest.approx(1.0), "above")}
    whole = rows(helped, "whole")
    assert whole["KMCL − ASL"] == (pytest.approx(3.0), "above")
    assert whole["KMCL − KMCL, RBF"] == (pytest.approx(0.0, abs=1e-9), "across")
    assert whole["KMCL, as released − KMCL"] == (pytest.approx(-3.0), "below")
    hurt = execution(tmp_path / "b", reconstruction=-0.02, contrast=0.0, rbf=-0.01, others=0.03, replicates=2)
    assert rows(hurt, "kmcl_reconstruction").popitem()[1] == (pytest.approx(-2.0), "below")
    assert rows(hurt, "kmcl_contrast").popitem()[1] == (pytest.approx(0.0, abs=1e-9), "across")
    whole = rows(hurt, "whole")
    assert whole["KMCL − KMCL, RBF"] == (pytest.approx(1.0), "above")
    assert whole["KMCL − ASL"] == (pytest.approx(-5.0), "below")
    assert set(hurt.comparisons["verdict"]) == {"", "not judged"}


def test_health_is_that_of_the_runs(tmp_path):
    found = health(execution(tmp_path, ratio=0.4, order=-0.5)).set_index("arm")
    assert found.loc["kmcl", ["kappa_underflow", "rho_saturated", "variance_ratio", "variance_rank"]].tolist() == [
        0.9, 0.9, pytest.approx(0.4), -0.5,
    ]  # fmt: skip
    gradients = found[["gradient_reconstruction", "gradient_contrastive"]]
    assert gradients.loc["kmcl: reconstruction"].tolist() == [1.0, 0.0]
    assert gradients.loc["kmcl: averaged"].tolist() == [256.0, 256.0]
    assert set(found["dead"]) == {""}


def judged(study: Execution) -> dict[tuple[str, str], tuple[str, str]]:
    """Verdict and reason by claim and data set."""
    found = judgements.of("06_kernel_mixture", study.comparisons)
    keys = zip(found["claim"], found["dataset"], strict=True)
    return dict(zip(keys, zip(found["verdict"], found["reason"], strict=True), strict=True))


def test_a_dead_term_is_not_judged(tmp_path):
    alive = judged(execution(tmp_path / "a"))
    assert alive["kmcl_reconstruction", "fashion-scenes"] == ("holds", "")
    assert alive["kmcl_contrast", "fashion-scenes"] == ("holds", "")
    assert alive["kmcl_contrast", "debtags"] == ("not judged", "not measured")

    study = execution(tmp_path / "b", underflow=0.995, saturated=0.995)
    (task,) = tasks(study)
    by_variant = {name: set(dead(study, task.but(loss=each.arm))) for name, each in VARIANTS.items()}
    assert by_variant == {
        "asl": set(),
        "reconstruction": set(),  # by log-sum-exp it needs no κ
        "contrast": {"contrast"},
        "mahalanobis": {"contrast"},
        "rbf": {"contrast"},
        "released": {"reconstruction", "contrast"},
        "averaged": {"contrast"},
    }
    found = judged(study)
    assert found["kmcl_reconstruction", "fashion-scenes"] == ("holds", "")
    verdict, reason = found["kmcl_contrast", "fashion-scenes"]
    assert verdict == "not judged"
    assert reason.startswith("dead contrast: 99.5%")
    assert (
        health(study)
        .set_index("arm")["dead"]["kmcl: released"]
        .startswith("dead reconstruction: 99.5% of κ underflow")
    )


def test_an_arm_below_the_untrained_encoder_is_a_remark(tmp_path):
    study = execution(tmp_path, baseline=0.515)
    assert judged(study)["kmcl_reconstruction", "fashion-scenes"] == ("holds", "")
    rows = study.comparisons.set_index("name")
    assert rows.loc["kmcl_reconstruction", "flag"].startswith("below the untrained encoder: ASL in KMCL −")


def test_every_other_arm_is_compared_with_the_asymmetric_loss_of_the_head(tmp_path):
    study = execution(tmp_path)
    own = study.comparisons[study.comparisons["name"] == "against_asl"].set_index("loss")
    assert own["estimate"]["kmcl"] == pytest.approx(3.0)
    assert own["estimate"]["asl"] == pytest.approx(0.0)
    assert set(own["reference"]) == {"kmcl: asl"}
    assert not set(own.index) & {"kmcl: asl", *BASELINES}


def test_the_picture_of_the_variances_is_drawn_from_its_frame(tmp_path):
    found = reliability(execution(tmp_path))
    assert set(found["kernels"]) == {"own labels", "other labels"}
    own = found[(found["kernels"] == "other labels") & (found["loss"] == "kmcl")]
    assert own["stated"].tolist() == pytest.approx(list(range(1, 11)))
    assert own["square"].tolist() == pytest.approx([2 * value for value in range(1, 11)])
    figure = figures.drawings(STUDY)["calibration"]({"bins": found}, "icml")
    assert len(figure.axes) == 2
    labels = {line.get_label() for line in figure.axes[0].lines}
    assert {"KMCL", "KMCL, RBF"} <= labels
