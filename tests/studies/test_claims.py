"""Published claims: the file, and the verdicts that effects get by it."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mlcl_utils.studies.claims import Effect

from mlcl_utils import stats
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import claims, published, scores

CLAIM = """
[[claims]]
id = "one"
statement = "A is ahead."
source = "Somebody, Something"
where = "abstract"
study = "02_label_space"
contrast = "A minus B"
metric = "map"
datasets = ["debtags"]
num_labels = [10]
test = "superiority"
margin = 0.5
setting = "same"
"""


def written(folder, text):
    path = folder / "claims.toml"
    path.write_text(text)
    return path


def effect(centre, error, *, dataset="debtags", count=5, **more):
    """Replicates with the given mean and corrected standard error, in points."""
    values = np.linspace(-1, 1, count)
    values *= error / np.sqrt((1 / count + 2 / 7) * values.var(ddof=1))
    measured = Replicates(tuple(range(count)), (centre + values) / 100)
    return Effect(dataset, f"{dataset}, 300 labels", "A − B", measured, **more)


class TestFile:
    def test_every_claim_of_the_specification_is_there(self) -> None:
        by_study: dict[str, int] = {}
        for claim in published.load():
            by_study[claim.study] = by_study.get(claim.study, 0) + 1
        assert by_study == {
            "02_label_space": 9,
            "01_missing_labels": 1,
            "06_kernel_mixture": 2,
            "04_temperature": 4,
            "05_hyperband": 4,
        }
        margins = {"map": 0.5, "macro_f1": 1.0, "ranking_loss": 0.2}
        assert all(claim.margin == margins.get(claim.metric, claim.margin) for claim in published.load())
        assert [
            claim.id for claim in published.load() if "best" in claim.contrast and not claim.best_of
        ] == []

    def test_the_hash_is_that_of_the_bytes(self, tmp_path) -> None:
        path = written(tmp_path, CLAIM)
        before = published.digest(path)
        assert before == hashlib.sha256(CLAIM.encode()).hexdigest()
        assert published.digest(written(tmp_path, CLAIM.replace("0.5", "0.4"))) != before

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (('id = "one"', 'id = "One claim"'), "claims.0.id"),
            (("margin = 0.5", "margin = -1"), "claims.0.margin"),
            (("margin = 0.5", "margin = nan"), "claims.0.margin"),
            (("margin = 0.5", ""), "claims.0.margin"),
            (('test = "superiority"', 'test = "equality"'), "claims.0.test"),
            (('setting = "same"', 'setting = "changed"'), "'changes'"),
            (('setting = "same"', 'setting = "same"\nchange = "x"'), "claims.0.change"),
            (('["debtags"]', '["debtag"]'), "did you mean 'debtags'"),
            (('["debtags"]', "[]"), "claims.0.datasets"),
            (('num_labels = [10]', 'num_labels = "most"'), "claims.0.num_labels"),
            (('test = "superiority"', 'test = "ratio"\nbest_of = true'), "best_of"),
            (("[[claims]]", "[[claim]]"), "claim"),
            (("[[claims]]", "[[claims"), "cannot be read"),
        ],
    )  # fmt: skip
    def test_a_claim_that_is_not_whole_is_refused_in_one_line(self, tmp_path, change, said) -> None:
        assert published.load(written(tmp_path, CLAIM))[0].margin == 0.5
        published.load.cache_clear()
        with pytest.raises(DataError) as refusal:
            published.load(written(tmp_path, CLAIM.replace(*change)))
        assert said in str(refusal.value)
        assert "\n" not in str(refusal.value)

    def test_two_claims_of_one_id_and_a_missing_file_are_refused(self, tmp_path) -> None:
        with pytest.raises(DataError, match="two claims have the id 'one'"):
            published.load(written(tmp_path, CLAIM + CLAIM))
        with pytest.raises(DataError, match=r"nowhere\.toml"):
            published.load(tmp_path / "nowhere.toml")

    def test_reading_it_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from mlcl_utils.studies import published; published.load();"
            " print({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"


class TestVerdicts:
    def test_margin_and_units_come_from_the_claim(self) -> None:
        # t = 2.776 at five replicates: the lower bound is 1.2 points; the margin of macro-F1 is 1 point
        rows = claims.judged("02_label_space", {"optimisation": [effect(4.0, 1.0)]})
        row = rows[rows["verdict"] == "holds"].iloc[0]
        assert (row["claim"], row["unit"], row["margin"]) == ("optimisation", "points", 1.0)
        assert (row["estimate"], row["lower"]) == pytest.approx((4.0, 4 - 2.776), abs=1e-3)
        assert [float(point) for point in row["points"].split()] == pytest.approx(
            list(100 * effect(4.0, 1.0).measured.values), rel=1e-3
        )
        below = claims.judged("02_label_space", {"optimisation": [effect(3.7, 1.0)]})
        assert below.loc[below["claim"] == "optimisation", "verdict"].iloc[0] == "undetermined"

    def test_what_was_not_measured_is_said(self) -> None:
        rows = claims.judged("02_label_space", {"optimisation": [effect(4.0, 1.0)]})
        own = rows[rows["claim"] == "optimisation"].set_index("dataset")
        assert own.loc["emoji", "verdict"] == "not judged"
        assert own.loc["emoji", "reason"] == "not measured"
        assert set(rows["claim"]) == {claim.id for claim in published.of("02_label_space")}

    def test_few_replicates_and_degenerate_arms_are_not_judged(self) -> None:
        rows = claims.judged(
            "02_label_space",
            {
                "optimisation": [
                    effect(9.0, 0.1, count=4),
                    effect(9.0, 0.1, dataset="emoji", impediment="degenerate: MSC"),
                ]
            },
        )
        own = rows[rows["claim"] == "optimisation"].set_index("dataset")
        assert own["verdict"].tolist() == ["not judged", "not judged"]
        assert own["reason"].tolist() == ["4 replicates, 5 are needed", "degenerate: MSC"]
        assert own["estimate"].tolist() == pytest.approx([9, 9])

    def test_the_best_of_several_is_corrected_over_all_such_claims_of_the_study(self) -> None:
        # alone it would hold at t = 2.9; over three judged effects p has to be below 5% / 3, t above 3.96
        alone = claims.judged("02_label_space", {"many_labels": [effect(3.9, 1.0)]})
        assert alone.loc[0, ["verdict", "corrected_over"]].tolist() == ["holds", 1]
        several = claims.judged(
            "02_label_space",
            {
                "many_labels": [effect(3.9, 1.0), effect(0.0, 5.0, dataset="emoji")],
                "few_labels": [effect(0.0, 5.0)],
                "optimisation": [effect(3.9, 1.0)],
            },
        )
        own = several[several["arms"] != ""].set_index(["claim", "dataset"])
        assert own.loc[("many_labels", "debtags"), ["verdict", "corrected_over"]].tolist() == [
            "undetermined",
            3,
        ]
        # what chooses nothing is not corrected
        assert own.loc[("optimisation", "debtags"), ["verdict", "corrected_over"]].tolist() == ["holds", 1]

    @pytest.mark.parametrize(
        ("centre", "error", "verdict"),
        [
            (0.0, 0.1, "holds"),  # a lead of 0 +- 0.28 is below 0.5 points
            (2.0, 0.1, "holds"),
            (-2.0, 0.1, "reversed"),  # ahead by two points
            (0.0, 1.0, "undetermined"),
        ],
    )
    def test_not_ahead_is_oriented_like_every_other_claim(self, centre, error, verdict) -> None:
        rows = claims.judged("02_label_space", {"not_ahead_map": [effect(centre, error)]})
        row = rows[rows["claim"] == "not_ahead_map"].iloc[0]
        assert row["verdict"] == verdict
        assert row["estimate"] == pytest.approx(centre)
        assert (row["lower"] > -0.5) == (verdict == "holds")

    @pytest.mark.parametrize(
        ("lower", "upper", "tenfold", "faster"),
        [
            (10.0, 20.0, "holds", "holds"),
            (9.9, 20.0, "undetermined", "holds"),
            (2.0, 4.0, "reversed", "holds"),
            (0.5, 4.0, "reversed", "undetermined"),
            (0.0, 0.9, "reversed", "reversed"),  # the target was not reached
        ],
    )
    def test_ratios(self, lower, upper, tenfold, faster) -> None:
        interval = Interval(3.0, lower, upper, (np.nan, np.nan), (lower, upper), 0.95, 300)
        measured = Effect("debtags", "debtags, REG", "random search / Hyperband", interval)
        rows = claims.judged(
            "05_hyperband", {"hyperband_random_tenfold": [measured], "hyperband_random_faster": [measured]}
        )
        own = rows[rows["dataset"] == "debtags"].set_index("claim")["verdict"]
        assert own["hyperband_random_tenfold"] == tenfold
        assert own["hyperband_random_faster"] == faster

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'many_labels'"):
            claims.judged("02_label_space", {"many_label": []})
        with pytest.raises(UsageError, match="unknown claim of 04_temperature"):
            claims.judged("04_temperature", {"many_labels": [effect(0, 1)]})
        interval = Interval(3.0, 2.0, 4.0, (2.0, 4.0), (2.0, 4.0), 0.95, 5)
        with pytest.raises(TypeError, match="not of a ratio"):
            claims.judged("02_label_space", {"optimisation": [Effect("debtags", "t", "a", interval)]})
        with pytest.raises(TypeError, match="judged as a ratio"):
            claims.judged("05_hyperband", {"hyperband_random_faster": [effect(0, 1)]})


def test_lines_pool_nothing_and_name_a_reversal_in_a_changed_setting() -> None:
    rows = claims.judged(
        "01_missing_labels",
        {
            "clml_helps": [
                effect(4.0, 0.1),
                effect(-4.0, 0.1, dataset="emoji"),
                effect(0.0, 0.1, dataset="fashion-scenes"),
            ]
        },
    )
    (line,) = claims.lines(rows)
    assert line.startswith(
        "CLML improves any base loss when labels are missing. 1 of 3 hold, where every one"
    )
    assert "holds on debtags, 300 labels;" in line
    assert "did not transfer on emoji, 300 labels" in line
    assert "no material effect on fashion-scenes" in line


def test_the_table_of_a_notebook_shows_effect_margin_and_verdict() -> None:
    rows = claims.judged(
        "01_missing_labels", {"clml_helps": [effect(-4.0, 0.1, remark="below baseline: BCE")]}
    )
    shown = claims.table_of(rows).reset_index()
    assert shown.loc[0, ["effect", "margin", "verdict", "remark"]].tolist() == [
        "-4.0 [-4.3, -3.7]", "0.5 points", "reversed", "below baseline: BCE",
    ]  # fmt: skip
    assert shown.loc[1, "effect"] == "–"


def test_rows_survive_the_csv_that_the_ledger_reads(tmp_path) -> None:
    correlation = Replicates(tuple(range(5)), np.array([0.9, 0.8, 0.9, 1.0, 0.9]))
    for study, offered in (
        ("02_label_space", {"many_labels": [effect(3.9, 1.0, remark="below baseline: A")]}),
        ("04_temperature", {"uniformity_falls": [Effect("emoji", "emoji, cnn", "ρ", correlation)]}),
    ):
        rows = claims.judged(study, offered)
        rows.to_csv(tmp_path / "claims.csv", index=False)
        again = claims.read(tmp_path / "claims.csv")
        pd.testing.assert_frame_equal(claims.table_of(again), claims.table_of(rows))
        assert claims.lines(again) == claims.lines(rows)
    with pytest.raises(DataError, match=r"nowhere\.csv' is no table of claims"):
        claims.read(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other\.csv' is no table of claims"):
        claims.read(tmp_path / "other.csv")


def test_intervals_are_those_of_the_effect() -> None:
    one = effect(1.0, 0.3)
    row = claims.judged("02_label_space", {"optimisation": [one]}).query(
        "dataset == 'debtags' and arms == 'A − B'"
    )
    expected = scores.as_row(stats.interval(one.measured))
    for name in ("estimate", "lower", "upper", "replicate_lower", "replicate_upper"):
        assert row[name].iloc[0] == pytest.approx(100 * expected[name])
    assert np.isnan(row["bootstrap_lower"].iloc[0])
