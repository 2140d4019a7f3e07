"""The kernel mixture study: its grid, dead terms, and a reading that follows the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlcl_utils.studies.kernel_mixture.reading import sentences

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import claims, drawing, tuning
from mlcl_utils.studies.kernel_mixture import PARTS, VARIANTS, variant_of
from mlcl_utils.studies.kernel_mixture.measures import (
    Summary,
    against_asl,
    dead,
    effects,
    nested,
    reliability,
    summarise,
)
from mlcl_utils.training import BASELINES
from tests.studies import made

STUDY = studies.get("06_kernel_mixture")


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
    tried = tuning.trials(grid(preset="quick", trials=3, datasets="debtags"), 3)
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


def made_summary(
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
) -> Summary:
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
    return summarise(made.carried(runs))


def said(summary: Summary, *words: str) -> str:
    """The one sentence with all of some words."""
    (line,) = [line for line in sentences(summary) if all(word in line for word in words)]
    return line


def test_the_reading_follows_the_numbers(tmp_path):
    helped = made_summary(tmp_path / "a")
    parts = said(helped, "added to what comes before")
    assert "the reconstruction raises mAP (+2.0" in parts
    assert "the contrast raises mAP (+1.0" in parts
    assert "not told apart from the RBF kernel" in said(helped, "Bhattacharyya")
    assert "ahead of ASL (+3.0" in said(helped, "the whole of KMCL")
    assert "the released arithmetic is behind the default form (-3.0" in said(
        helped, "released arithmetic is"
    )
    assert "90% of KMCL's κ underflow in single precision and 90% of its ρ" in said(helped, "on test")
    assert "1.00 times the stated variances, which are of the right size" in said(
        helped, "squared deviations"
    )
    assert "larger variance are also farther off" in said(helped, "squared deviations")
    assert not any("dead" in line or "no verdict" in line for line in sentences(helped))

    hurt = made_summary(
        tmp_path / "b",
        reconstruction=-0.02,
        contrast=0.0,
        rbf=-0.01,
        others=0.03,
        ratio=0.4,
        order=-0.5,
        replicates=2,
    )
    parts = said(hurt, "added to what comes before")
    assert "the reconstruction lowers mAP (-2.0" in parts
    assert "the contrast does not clearly change mAP" in parts
    assert "ahead of the RBF kernel (+1.0" in said(hurt, "Bhattacharyya")
    assert "behind ASL (-5.0" in said(hurt, "the whole of KMCL")
    assert "0.40 times the stated variances, which are too large" in said(hurt, "squared deviations")
    assert "larger variance are nearer" in said(hurt, "squared deviations")
    assert "2 replicates" in said(hurt, "no verdict")


def test_a_dead_term_is_not_judged(tmp_path):
    alive = made_summary(tmp_path / "a")
    judged = claims.judged("06_kernel_mixture", effects(alive)).set_index(["claim", "dataset"])["verdict"]
    assert judged["kmcl_reconstruction", "fashion-scenes"] == "holds"
    assert judged["kmcl_contrast", "fashion-scenes"] == "holds"
    assert judged["kmcl_contrast", "debtags"] == "not judged"

    summary = made_summary(tmp_path / "b", underflow=0.995, saturated=0.995)
    (task,) = summary.tasks
    by_variant = {name: set(dead(summary, task.but(loss=each.arm))) for name, each in VARIANTS.items()}
    assert by_variant == {
        "asl": set(),
        "reconstruction": set(),  # by log-sum-exp it needs no κ
        "contrast": {"contrast"},
        "mahalanobis": {"contrast"},
        "rbf": {"contrast"},
        "released": {"reconstruction", "contrast"},
        "averaged": {"contrast"},
    }
    rows = claims.judged("06_kernel_mixture", effects(summary)).set_index(["claim", "dataset"])
    assert rows["verdict"]["kmcl_reconstruction", "fashion-scenes"] == "holds"
    assert rows["verdict"]["kmcl_contrast", "fashion-scenes"] == "not judged"
    assert rows["reason"]["kmcl_contrast", "fashion-scenes"].startswith("dead contrast: 99.5%")
    assert "99.5% of κ underflow" in said(summary, "as released", "dead reconstruction")


def test_degenerate_arms_carry_no_verdict(tmp_path):
    rows = claims.judged("06_kernel_mixture", effects(made_summary(tmp_path, baseline=0.515)))
    rows = rows[rows["dataset"] == "fashion-scenes"].set_index("claim")
    assert rows["verdict"].to_dict() == {"kmcl_reconstruction": "not judged", "kmcl_contrast": "holds"}
    assert rows["reason"]["kmcl_reconstruction"] == "degenerate: ASL in KMCL"


def test_contrasts_are_against_the_asymmetric_loss_of_the_head(tmp_path):
    summary = made_summary(tmp_path)
    found = {each.first.loss: each.interval.estimate for each in against_asl(summary, "map")}
    assert found["kmcl"] == pytest.approx(0.03)
    assert found["asl"] == pytest.approx(0.0)
    assert "kmcl: asl" not in found
    assert not set(found) & set(BASELINES)
    (task,) = summary.tasks
    assert {part: each.label for part, each in nested(summary, task, "map").items()} == {
        "reconstruction": "KMCL w/o contrast − ASL in KMCL",
        "contrast": "KMCL − KMCL w/o contrast",
    }


def test_the_picture_of_the_variances_is_drawn_from_its_frame(tmp_path):
    rows = reliability(made_summary(tmp_path))
    assert set(rows["kernels"]) == {"own labels", "other labels"}
    own = rows[(rows["kernels"] == "other labels") & (rows["loss"] == "kmcl")]
    assert own["stated"].tolist() == pytest.approx(list(range(1, 11)))
    assert own["square"].tolist() == pytest.approx([2 * value for value in range(1, 11)])
    figure = drawing.drawings(STUDY)["calibration"]({"bins": rows}, "icml")
    assert len(figure.axes) == 2
    labels = {line.get_label() for line in figure.axes[0].lines}
    assert {"KMCL", "KMCL, RBF"} <= labels
