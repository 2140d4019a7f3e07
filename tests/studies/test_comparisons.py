"""The frame of comparisons: what is measured, which verdicts claims get, and what stands where runs have failed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from mlcl_utils import stats, studies
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.runs import RunConfig
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import comparisons, figures, judgements, published, scores, sentences, tables
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.training import Recipe
from tests.studies import losing, made


def replicates(centre: float, error: float, count: int = 5) -> Replicates:
    """Replicates with the given mean and corrected standard error, in points."""
    values = np.linspace(-1, 1, count)
    values *= error / np.sqrt((1 / count + 2 / 7) * values.var(ddof=1))
    return Replicates(tuple(range(count)), (centre + values) / 100)


def effect(
    name: str, centre: float, error: float, *, dataset: str = "debtags", count: int = 5, **more: Any
) -> Comparison:
    metric = {claim.id: claim.metric for claim in published.load()}[name]
    arms = [Arm(dataset, "frozen", 300, loss) for loss in ("msc", "bce")]
    return Comparison(name, arms, metric, compared="A − B", measured=replicates(centre, error, count), **more)


def judged(study: str, *declared: Comparison) -> pd.DataFrame:
    return judgements.of(study, comparisons.frame(study, declared, {}))


def test_margin_and_units_come_from_the_claim() -> None:
    # t = 2.776 at five replicates: the lower bound is 1.2 points; the margin of macro-F1 is 1 point
    rows = judged("02_label_space", effect("optimisation", 4.0, 1.0))
    row = rows[rows["verdict"] == "holds"].iloc[0]
    assert (row["claim"], row["unit"], row["margin"]) == ("optimisation", "points", 1.0)
    assert (row["estimate"], row["lower"]) == pytest.approx((4.0, 4 - 2.776), abs=1e-3)
    values = 100 * replicates(4.0, 1.0).values
    assert [float(point) for point in row["points"].split()] == pytest.approx(values.tolist(), rel=1e-3)
    below = judged("02_label_space", effect("optimisation", 3.7, 1.0))
    assert below.loc[below["claim"] == "optimisation", "verdict"].iloc[0] == "open"


def test_what_was_not_measured_is_said() -> None:
    rows = judged("02_label_space", effect("optimisation", 4.0, 1.0))
    own = rows[rows["claim"] == "optimisation"].set_index("dataset")
    assert own.loc["emoji", ["verdict", "reason"]].tolist() == ["not judged", "not measured"]
    assert set(rows["claim"]) == {claim.id for claim in published.of("02_label_space")}


def test_few_replicates_and_reasons_are_not_judged() -> None:
    rows = judged(
        "02_label_space",
        effect("optimisation", 9.0, 0.1, count=4),
        effect("optimisation", 9.0, 0.1, dataset="emoji", reason="dead term"),
    )
    own = rows[rows["claim"] == "optimisation"].set_index("dataset")
    assert own["verdict"].tolist() == ["not judged", "not judged"]
    assert own["reason"].tolist() == ["4 replicates, 5 are needed", "dead term"]
    # few splits are evidence of a kind, a dead term is of none
    assert own["evidence"].tolist() == ["strong for", ""]
    assert own["p_above"].isna().tolist() == [False, True]
    assert own["estimate"].tolist() == pytest.approx([9, 9])


@pytest.mark.parametrize(
    ("centre", "error", "verdict"),
    [
        (0.0, 0.1, "holds"),  # a lead of 0 +- 0.28 is below 0.5 points
        (2.0, 0.1, "holds"),
        (-2.0, 0.1, "opposite"),  # ahead by two points
        (0.0, 1.0, "open"),
    ],
)
def test_not_ahead_is_oriented_like_every_other_claim(centre: float, error: float, verdict: str) -> None:
    row = (
        judged("02_label_space", effect("not_ahead_map", centre, error))
        .query("claim == 'not_ahead_map'")
        .iloc[0]
    )
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(centre)
    assert (row["lower"] > -0.5) == (verdict == "holds")


@pytest.mark.parametrize(
    ("estimate", "error", "tenfold", "faster"),
    [
        (20.0, 0.1, "holds", "holds"),
        (14.0, 0.3, "open", "holds"),
        (3.0, 0.2, "does not hold", "holds"),
        (1.5, 0.4, "does not hold", "open"),
        (0.5, 0.1, "does not hold", "opposite"),
        (0.05, 0.1, "opposite", "opposite"),
    ],
)
def test_ratios_are_judged_by_their_logarithms(
    estimate: float, error: float, tenfold: str, faster: str
) -> None:
    bounds = tuple(estimate * math.exp(sign * 1.959964 * error) for sign in (-1, 1))
    measured = Interval(estimate, *bounds, (np.nan, np.nan), bounds, 0.95, 5)
    arms = [Arm("debtags", "frozen", 100, "reg")]
    names = ("hyperband_random_tenfold", "hyperband_random_faster")

    def declared(name: str, **more: Any) -> Comparison:
        given = {"head": "direct", "compared": "a / b", "measured": measured}
        return Comparison(name, arms, "resource_ratio", **given, **more)

    def verdicts(**more: Any) -> list[str]:
        rows = judged("05_hyperband", *(declared(name, **more) for name in names))
        own = rows[rows["dataset"] == "debtags"].set_index("claim")["verdict"]
        return own[list(names)].tolist()

    assert verdicts() == [tenfold, faster]
    # a bound may refute, not confirm
    assert verdicts(censored=True) == ["open" if word == "holds" else word for word in (tenfold, faster)]
    row = judged("05_hyperband", declared(names[0], reason="a pool is lost")).iloc[0]
    assert (row["verdict"], row["reason"]) == ("not judged", "a pool is lost")


def test_a_ratio_is_judged_from_its_interval() -> None:
    with pytest.raises(TypeError, match="from its interval"):
        judged("05_hyperband", effect("hyperband_random_faster", 0, 1))


def test_how_probable_a_claim_is_stands_beside_its_verdict() -> None:
    row = judged("02_label_space", effect("optimisation", 4.0, 1.0)).set_index("verdict").loc["holds"]
    spread = distributions.t(4, loc=4.0, scale=1.0)
    found = row[list(comparisons.PROBABILITIES)].astype(float).tolist()
    assert found == pytest.approx([spread.sf(1), spread.cdf(1) - spread.cdf(-1), spread.cdf(-1)])
    assert row["evidence"] == "strong for"

    def evidence(name: str, centre: float, error: float, **more: Any) -> str:
        rows = judged("02_label_space", effect(name, centre, error, **more)).set_index("claim")
        return str(rows.loc[[name], "evidence"].iloc[0])

    assert evidence("optimisation", 2.0, 1.0) == "leaning for"
    assert evidence("optimisation", 1.1, 1.0) == "unclear"
    assert evidence("optimisation", -4.0, 1.0) == "strong against"
    assert evidence("not_ahead_map", 0.0, 0.1) == "strong for"  # not behind by the margin
    assert evidence("optimisation", 3.0, 1.0, count=3) == "leaning for"  # though it is too few for a verdict


def test_rows_survive_the_csv_that_the_ledger_reads(tmp_path: Path) -> None:
    correlation = Replicates(tuple(range(5)), np.array([0.9, 0.8, 0.9, 1.0, 0.9]))
    arms = [Arm("emoji", "cnn", 100, "instance")]
    for study, offered in (
        ("02_label_space", effect("many_labels", 3.9, 1.0, flag="below logistic regression: A")),
        (
            "04_temperature",
            Comparison("uniformity_falls", arms, "rank_correlation", head="", measured=correlation),
        ),
    ):
        rows = judged(study, offered)
        rows.to_csv(tmp_path / "claims.csv", index=False)
        again = judgements.read(tmp_path / "claims.csv")
        pd.testing.assert_frame_equal(tables.judged(again), tables.judged(rows))
        assert sentences.claims(again) == sentences.claims(rows)
    with pytest.raises(DataError, match=r"nowhere\.csv' is no table of claims"):
        judgements.read(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other\.csv' is no table of claims"):
        judgements.read(tmp_path / "other.csv")


# --- on stored runs


def config(loss: str, replicate: int, **more: Any) -> RunConfig:
    recipe = None if loss in ("random_encoder", "logistic_regression") else Recipe(epochs=1)
    return RunConfig(
        dataset="debtags",
        num_labels=10,
        base_labels=10,
        loss=loss,
        recipe=recipe,
        replicate=replicate,
        seed=replicate,
        **more,
    )


class Kept:
    """Runs of some losses with given values: probe mAP, own head's mAP, in each replicate."""

    def __init__(self, folder: Path, values: dict[str, tuple[list[float], list[float]]]) -> None:
        self.arms: dict[Arm, list[Any]] = {}
        for loss, (probe, own) in values.items():
            for replicate, (first, second) in enumerate(zip(probe, own, strict=True)):
                metrics = {"probe_map": first, "probe_validation_map": first, "uniformity": -first}
                if not np.isnan(second):
                    metrics |= {"direct_map": second, "direct_validation_map": second}
                run = made.run(folder, config(loss, replicate), metrics)
                self.arms.setdefault(Arm.of(run.config), []).append(run)

    def __getitem__(self, loss: str) -> Arm:
        return next(arm for arm in self.arms if arm.loss == loss)


NONE = [np.nan] * 5


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    rising = np.arange(5) / 1000
    return Kept(
        tmp_path,
        {
            "bce": ((0.5 + rising).tolist(), (0.6 + rising).tolist()),
            "reg": ((0.53 + 2 * rising).tolist(), (0.4 + rising).tolist()),
            "msc": ((0.3 + rising).tolist(), NONE),
            "random_encoder": ((0.45 + rising).tolist(), NONE),
            "logistic_regression": ((0.51 + rising).tolist(), NONE),
        },
    )


def only(declared: Comparison, arms: Any, lost: Any = ()) -> pd.Series:
    rows = comparisons.frame("02_label_space", [declared], arms, lost)
    assert tuple(rows.columns[: len(comparisons.COLUMNS)]) == comparisons.COLUMNS
    return rows.iloc[0]


def test_a_difference_is_paired_and_in_points(kept: Kept) -> None:
    row = only(Comparison("a", [kept["reg"], kept["bce"]], "map", "probe"), kept.arms)
    assert [float(each) for each in row["points"].split()] == pytest.approx([3.0, 3.1, 3.2, 3.3, 3.4])
    found = stats.interval(
        stats.difference(*(scores.quantity(kept.arms[kept[loss]], "probe_map") for loss in ("reg", "bce")))
    )
    for name, value in scores.as_row(found).items():
        assert row[name] == pytest.approx(value if name == "replicates" else 100 * value)
    assert row[["loss", "reference", "compared", "heads", "unit", "verdict"]].tolist() == [
        "reg", "bce", "REG − BCE", "probe", "points", "",
    ]  # fmt: skip


def test_every_arm_is_read_with_the_head_that_its_validation_prefers(kept: Kept) -> None:
    row = only(Comparison("a", [kept["reg"], kept["bce"]], "map"), kept.arms)
    assert row["heads"] == "probe, direct"
    assert row["estimate"] == pytest.approx(100 * (0.53 + 0.004 - 0.6 - 0.002))
    named = only(Comparison("a", [kept["reg"], kept["bce"]], "map", ("direct", "direct")), kept.arms)
    assert named["estimate"] == pytest.approx(-20.0)


def test_a_lead_is_positive_for_the_better_arm_whichever_end_is_better() -> None:
    values = np.array([[0.5, 0.4], [0.3, 0.6]])
    assert comparisons.lead("map")(values).tolist() == pytest.approx([0.2, -0.2])
    assert comparisons.lead("ranking_loss")(values).tolist() == pytest.approx([-0.2, 0.2])


def test_of_a_representation_nothing_is_a_share(kept: Kept) -> None:
    row = only(Comparison("a", [kept["reg"], kept["bce"]], "uniformity", ""), kept.arms)
    assert row["estimate"] == pytest.approx(-0.032)
    assert row["unit"] == ""
    shown = Comparison(
        "a",
        [kept["reg"]],
        "rank_correlation",
        "",
        quantity="uniformity",
        measure=lambda values: 3 * values[0],
        limits=(-1, 1),
    )
    row = only(shown, kept.arms)
    assert (row["lower"], row["upper"]) == (-1, -1)  # of an estimate of -1.6, which no correlation is
    assert row["points"].startswith("-1.59")


def test_what_stands_against_arms_is_a_reason_or_a_flag(kept: Kept) -> None:
    below = only(Comparison("a", [kept["msc"], kept["bce"]], "map", "probe"), kept.arms)
    assert below["reason"] == ""
    assert below["flag"] == (
        "below the untrained encoder: MSC −15.0 [−15.0, −15.0]; below logistic regression: BCE −1.0 [−1.0, −1.0]"
    )
    own = only(
        Comparison("a", [kept["bce"], kept["reg"]], "map", ("direct", "probe"), flag="more"), kept.arms
    )
    assert (own["reason"], own["flag"]) == ("", "more")  # read with its own head, BCE is above


def test_where_runs_have_failed_a_row_says_so(kept: Kept) -> None:
    pair = Comparison("a", [kept["reg"], kept["bce"]], "map", "probe")
    short = {arm: runs[:4] if arm.loss == "bce" else runs for arm, runs in kept.arms.items()}
    row = only(pair, short, lost=[kept["bce"]])
    assert np.isnan(row["estimate"])
    assert row["reason"] == "runs have failed: BCE"
    assert only(pair, {}, lost=[kept["bce"], kept["reg"]])["reason"] == "runs have failed: REG, BCE"
    # without a failure an arm that is not there was not asked for
    assert comparisons.frame("02_label_space", [pair], short).empty
    # what was chosen among several is unknown where one of them has failed, whatever is there
    chosen = Comparison(
        "a", [kept["reg"], kept["bce"]], "map", "probe", chosen_among=[kept["msc"], kept["reg"]]
    )
    row = only(chosen, kept.arms, lost=[kept["msc"]])
    assert np.isnan(row["estimate"])
    assert row["reason"] == "runs have failed: MSC"
    assert only(chosen, kept.arms, lost=[kept["bce"]])["estimate"] > 0


def test_what_is_undefined_in_a_replicate_is_not_measured(kept: Kept) -> None:
    undefined = Comparison(
        "a", [kept["reg"], kept["bce"]], "map", "probe", measure=lambda values: values[0] * np.nan
    )
    assert comparisons.frame("02_label_space", [undefined], kept.arms).empty


# --- the published results


PUBLISHED = [
    name
    for name in studies.names()
    if (CHECKOUT / "results" / name / "standard" / "tables" / "claims.csv").is_file()
]


@pytest.mark.skipif(not PUBLISHED, reason="no results are published")
def test_effects_of_rule_1_are_judged_again() -> None:
    """Of the 82 effects that rule 1 has judged, 46 are decided by rule 2, as an independent analysis of them found."""
    tables_ = [CHECKOUT / "results" / name / "standard" / "tables" / "claims.csv" for name in PUBLISHED]
    tables_ = [path for path in tables_ if "00_claims" not in str(path) and "rule" not in pd.read_csv(path)]
    if not tables_:
        pytest.skip("all results are of rule 2")
    before = pd.concat([pd.read_csv(path) for path in tables_], ignore_index=True)
    rows = pd.concat([judgements.read(path) for path in tables_], ignore_index=True)
    np.testing.assert_array_equal(rows["estimate"], before["estimate"])
    assert before["verdict"].isin(["holds", "reversed", "no material effect"]).sum() == 18
    assert rows["verdict"].value_counts().to_dict() == {
        "open": 32, "no material effect": 22, "does not hold": 18, "holds": 4, "not judged": 4, "opposite": 2
    }  # fmt: skip
    # what decided by rule 1 without a correction decides the same, but for a word that rule 1 had not
    same = before["verdict"].replace({"reversed": "opposite", "undetermined": "open"})
    changed = pd.crosstab(same[same != rows["verdict"]], rows["verdict"])
    assert changed.index.tolist() == ["not judged", "open", "opposite"]
    assert set(rows.loc[same == "opposite", "verdict"]) <= {"opposite", "does not hold", "open"}
    assert rows["remark"].str.contains("below the untrained encoder").sum() == 35
    assert set(rows.loc[rows["verdict"] == "not judged", "reason"]) == {"not measured"}


def test_the_page_on_frames_explains_every_column(kept: Kept) -> None:
    page = (CHECKOUT / "docs" / "frames.md").read_text(encoding="utf-8")
    named = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split("`")[1::2]
    }
    found = set(scores.frame(kept.arms, ["map"], representation=["uniformity"])) | set(comparisons.COLUMNS)
    assert found - {"replicates"} - set(comparisons.BOUNDS) <= named
    assert set(comparisons.BOUNDS) <= named


def test_a_forest_of_rows_from_memory_and_from_csv(kept: Kept, tmp_path: Path) -> None:
    pair = [kept["reg"], kept["bce"]]
    declared = [Comparison("a", pair, "map", "probe"), Comparison("many_labels", pair, "map", "probe")]
    rows = comparisons.frame("02_label_space", declared, kept.arms)
    rows.to_csv(tmp_path / "rows.csv", index=False)

    def words(drawn: pd.DataFrame) -> list[str]:
        figure = figures.forest(drawn)
        assert figure is not None
        (ax,) = figure.axes
        assert ax.get_xlabel() == "difference of mAP (points)"
        found = [text.get_text() for text in ax.texts if text.get_text() in ("holds", "open", "not judged")]
        plt.close(figure)
        return found

    # what is no claim has no verdict written next to it, whether its cell is empty or was read as missing
    for whole in (rows, pd.read_csv(tmp_path / "rows.csv")):
        assert words(whole[whole["name"] == "a"]) == []
        assert words(whole) == ["holds"]
    assert figures.forest(rows.assign(estimate=np.nan)) is None


def test_what_has_no_row_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = losing.execution("06_kernel_mixture", tmp_path)
    with pytest.raises(UsageError, match=r"call study\.run\(\) first"):
        _ = study.scores
    study.trained = losing.trained_without(
        losing.runs_of(study.study.grid(study.parameters)), lambda config: False
    )
    study.measures = dataclasses.replace(
        study.measures,
        comparisons=lambda study: [
            Comparison("absent", [next(iter(study.arms)), Arm("a", "b", 1, "c")], "map")
        ],
    )
    assert study.comparisons.empty
    assert (
        "not compared, since an arm is not among those of these parameters: absent" in capsys.readouterr().out
    )
    assert tables.compared(study, "absnt").empty
    assert "there is no comparison 'absnt' here" in capsys.readouterr().out
    with pytest.raises(UsageError, match="did you mean 'parts'"):
        figures.draw(study, "part", {"rows": pd.DataFrame({"a": [1]})})
