"""The ledger: what it reads of other studies, what it says of those that are missing, and what follows."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import stats, studies
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import comparisons, figures, judgements, published, sentences, tables
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import Execution, begin
from mlcl_utils.studies.ledger import sources, views
from mlcl_utils.studies.ledger.measures import claims, evidence, pooled, states
from mlcl_utils.studies.manifest import MANIFEST, file_digest

STUDY = studies.get("00_claims")
REGISTERED = [name for name in studies.names() if published.of(name)]


def effect(claim, points, dataset="debtags", loss="reg", **more):
    """An effect on a claim, with replicates around so many points."""
    values = np.array([points - 0.02, points - 0.01, points, points + 0.01, points + 0.02]) / 100
    metric = {each.id: each.metric for each in published.load()}[claim]
    given = {"compared": "A − B", "measured": Replicates(tuple(range(5)), values), **more}
    return Comparison(claim, [Arm(dataset, "frozen", 100, loss)], metric, **given)


def judged(results, name, *declared, **given):
    """What a study leaves behind: its judged effects and a manifest that vouches for them."""
    study = begin(studies.get(name), {"preset": "quick", "results": str(results), **given})
    tables.save_claims(study, judgements.of(name, comparisons.frame(name, declared, {})))
    study.finish(device="cpu", seeds=[0], compute={"runs": 7, "failed": 1, "existed": 0, "seconds": 60.0})
    return study.folder


def ledger(results, **given) -> Execution:
    return begin(STUDY, {"preset": "quick", "results": str(results), **given})


def state(study: Execution, name: str) -> tuple[bool, str]:
    """Whether the results of a study were read, and what is said of them."""
    row = states(study).set_index("study").loc[name]
    return bool(row["read"]), row["state"]


def test_results_of_the_same_preset_are_read_and_the_missing_are_named(tmp_path):
    judged(tmp_path, "02_label_space", effect("many_labels", 3.0), effect("many_labels", -3.0, "emoji"))
    study = ledger(tmp_path)
    assert state(study, "02_label_space")[0]
    reason = "04_temperature has no results at these parameters; mlcl run 04_temperature"
    assert state(study, "04_temperature") == (False, reason)
    assert set(states(study)["study"]) == {claim.study for claim in published.load()}
    found = claims(study)
    rows = found.set_index(["claim", "dataset"])
    assert rows.loc[("many_labels", "debtags"), "verdict"] == "holds"
    assert rows.loc[("many_labels", "emoji"), "verdict"] == "opposite"
    assert rows.loc[("uniformity_falls", "emoji"), "reason"] == reason
    assert list(dict.fromkeys(found["claim"])) == [claim.id for claim in published.load()]
    read = states(study).query("read")
    assert read[["runs", "failed", "seconds"]].to_numpy().tolist() == [[7, 1, 60]]
    views.effects(study)
    written = judgements.read(study.folder / "tables" / "claims.csv")
    pd.testing.assert_frame_equal(tables.judged(written), tables.judged(found))
    own = found[found["claim"] == "many_labels"]
    words = "holds on debtags, 100 labels; did not transfer on emoji, 100 labels"
    assert sentences.overall(own) == words
    assert views.overall(study)["verdict"].iloc[0] == words
    assert views.headline(study.folder) == [sentences.Line("", sentences.total(found))]
    # another preset has nothing
    other = ledger(tmp_path, preset="standard")
    assert set(claims(other)["verdict"]) == {"not judged"}
    assert not states(other)["read"].any()
    assert claims(other)["estimate"].isna().all()
    assert views.effects(other).empty
    assert views.forests(other) == []


def test_the_verdicts_change_with_the_numbers(tmp_path):
    def verdicts() -> list[str]:
        return views.overall(ledger(tmp_path))["verdict"].tolist()

    judged(tmp_path, "02_label_space", effect("optimisation", 3.0))
    before = verdicts()
    judged(tmp_path, "02_label_space", effect("optimisation", 0.1))
    (changed,) = [(a, b) for a, b in zip(before, verdicts(), strict=True) if a != b]
    assert changed[0].startswith("holds on debtags")
    assert changed[1].startswith("no material effect on debtags")


def test_parameters_are_passed_on(tmp_path):
    given = {"replicates": 5, "datasets": ["debtags"]}
    folder = judged(tmp_path, "02_label_space", effect("optimisation", 3.0), **given)
    assert folder.name.startswith("quick-")
    assert not state(ledger(tmp_path), "02_label_space")[0]
    same = ledger(tmp_path, **given)
    assert state(same, "02_label_space")[0]
    assert same.folder.name.startswith("quick-")


def test_a_study_that_refuses_the_parameters_is_named_with_its_reason(tmp_path):
    found = state(ledger(tmp_path, losses=["bce"]), "04_temperature")
    assert found == (False, "loss 'bce' has no temperature; name contrastive losses")


def damaged(folder):
    (folder / MANIFEST).write_text("{")


def tampered(folder):
    path = folder / "tables" / "claims.csv"
    path.write_text(path.read_text().replace("holds", "opposite"))


def removed(folder):
    (folder / "tables" / "claims.csv").unlink()


def unfinished(folder):
    (folder / MANIFEST).unlink()


def judged_by_others(folder):
    path = folder / "tables" / "claims.csv"
    manifest = json.loads((folder / MANIFEST).read_text())
    path.write_text(path.read_text().replace(published.digest("02_label_space"), "0" * 64))
    manifest["files"]["tables/claims.csv"] = file_digest(path)
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, "is damaged"),
        (tampered, "is not the one that it left"),
        (removed, "is missing"),
        (unfinished, "has no results"),
        (judged_by_others, "judged by other claims"),
    ],
)
def test_what_nobody_vouches_for_is_not_read(tmp_path, spoil, said):
    spoil(judged(tmp_path, "02_label_space", effect("optimisation", 3.0)))
    study = ledger(tmp_path)
    read, reason = state(study, "02_label_space")
    assert not read
    assert said in reason
    own = claims(study).query("study == '02_label_space'")
    assert set(own["verdict"]) == {"not judged"}
    assert set(own["reason"]) == {reason}


def test_it_is_out_of_date_when_a_study_has_new_results(tmp_path):
    parameters = STUDY.resolve({"preset": "quick", "results": str(tmp_path)})
    empty = STUDY.digest(parameters)
    judged(tmp_path, "02_label_space", effect("optimisation", 3.0))
    first = STUDY.digest(parameters)
    assert STUDY.digest(parameters) == first
    judged(tmp_path, "02_label_space", effect("optimisation", 1.0))
    assert len({empty, first, STUDY.digest(parameters)}) == 3
    assert STUDY.grid(parameters) == []
    assert not (tmp_path / "runs").exists()


def test_every_claim_is_of_a_study_and_every_study_reads_its_own():
    parameters = STUDY.resolve({"preset": "quick"})
    named = {source.name: source for source in sources(parameters)}
    assert set(named) == {claim.study for claim in published.load()}
    for name in REGISTERED:
        assert named[name].folder == studies.get(name).folder(studies.get(name).resolve({"preset": "quick"}))


def test_figures_are_drawn_by_study_and_unit_and_again_from_what_was_saved(tmp_path):
    correlation = Replicates(tuple(range(5)), np.array([0.9, 0.8, 0.9, 1.0, 0.9]))
    judged(
        tmp_path,
        "04_temperature",
        effect("uniformity_falls", 0.0, "emoji", compared="ρ", measured=correlation),
        effect("intermediate_best", 1.0),
        effect("intermediate_best", 2.0),
    )
    study = ledger(tmp_path)
    assert len(views.forests(study)) == 2
    names = {path.name for path in (study.folder / "figures").glob("*.pdf")}
    assert names == {"temperature.pdf", "temperature_rank_correlation.pdf"}
    again = figures.redraw(STUDY, study.folder, tmp_path / "acl", "acl")
    assert {path.name for path in again if path.suffix == ".pdf"} == names


def test_ratios_are_drawn_as_logarithms_with_the_bound_to_reach_at_zero(tmp_path):
    ratio = Interval(10.0, 1.0, 100.0, (math.nan, math.nan), (1.0, 100.0), 0.95, 1)
    judged(tmp_path, "05_hyperband", effect("hyperband_bayesian_faster", 0.0, measured=ratio))
    study = ledger(tmp_path)
    (figure,) = views.forests(study)
    (ax,) = figure.axes
    marks = {round(float(x), 6) for line in ax.lines for x in line.get_xdata() if np.isfinite(x)}
    assert {0.0, 1.0, 2.0} <= marks
    assert not marks - {0.0, 1.0, 2.0}


def test_tables_name_what_cannot_be_judged(tmp_path):
    reason = "below the untrained encoder: Prototype"
    flag = "below logistic regression: BCE"
    judged(
        tmp_path,
        "02_label_space",
        effect("optimisation", 3.0, reason=reason),
        effect("optimisation", 2.0, "emoji", flag=flag),
    )
    study = ledger(tmp_path)
    assert views.not_judged(study).loc[("optimisation", reason), "task"] == "debtags, 100 labels"
    effects = views.effects(study).reset_index()
    assert effects["verdict"].tolist() == ["not judged", "holds"]
    assert effects.loc[1, "over splits"] == "[+1.97, +2.03]"
    assert effects.loc[1, "over test data (ratios: replays)"] == "–"
    assert effects["flag"].tolist() == [reason, flag]
    assert len(views.overall(study)) == len(published.load())
    assert (study.folder / "tables" / "overall.tex").is_file()
    table = views.sources(study)
    assert table["runs"].tolist().count("7") == 1
    assert table["runs"].tolist().count("–") == len(table) - 1
    text = views.checklist(study).data
    assert published.digest("02_label_space") in text
    assert "1 effects rest on an arm below" in text


def test_configurations_that_a_search_found_are_passed_on(tmp_path):
    found = tmp_path / "config.toml"
    found.write_text('loss = "reg"\nencoder = "frozen"\n\n[values]\nlearning_rate = 0.001\n')
    given = {"config": str(found), "results": str(tmp_path / "results")}
    own = STUDY.resolve({"preset": "quick", **given})
    theirs = studies.get("02_label_space")
    folders = {source.name: source.folder for source in sources(own)}
    assert folders["02_label_space"] == theirs.folder(theirs.resolve({"preset": "quick", **given}))
    # a study without that loss has no such results
    assert folders["01_missing_labels"] is None


def test_the_ledger_says_how_many_decided_rows_are_expected_to_be_wrong(tmp_path):
    wide = np.array([1.0, 2.0, 3.0, 4.0, 5.0]) / 100
    judged(
        tmp_path,
        "02_label_space",
        effect("optimisation", 3.0),
        effect("optimisation", 0.0, "emoji", measured=Replicates(tuple(range(5)), wide)),
        effect("reg_ahead", -3.0),
    )
    study = ledger(tmp_path)
    rows = evidence(study)
    rows = rows[rows["estimate"].notna()].set_index(["claim", "dataset"])
    sure, unsure = rows.loc[("optimisation", "debtags")], rows.loc[("optimisation", "emoji")]
    assert sure["error"] == pytest.approx(1 - sure["p_above"])
    assert unsure["verdict"] == "open"
    assert math.isnan(unsure["error"])
    against = rows.loc[("reg_ahead", "debtags")]
    assert (against["verdict"], against["error"]) == ("opposite", pytest.approx(1 - against["p_below"]))
    # Benjamini and Hochberg over the three: the smallest p-value times three, and so on
    assert sure["q_above"] == pytest.approx(
        3 * stats.p_above(Replicates(tuple(range(5)), VALUES + 3.0), 1.0), rel=1e-6
    )
    assert 0 < unsure["q_above"] <= 1
    assert rows["on_fresh_splits"].isna().all()
    table = views.verdicts(study)
    assert table["effects"].to_dict()["holds"] == "1"
    assert table["expected to be wrong"].to_dict()["open"] == "–"


VALUES = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])


def test_data_sets_are_pooled_from_three_on_and_fresh_splits_are_told_apart(tmp_path):
    ten = Replicates(tuple(range(10)), np.array([0.01] * 5 + [0.03] * 5) + 0.0001 * np.arange(10))
    declared = [
        effect("few_labels", 0.0, name, measured=ten) for name in ("debtags", "emoji", "fashion-scenes")
    ]
    judged(
        tmp_path, "02_label_space", *declared, effect("many_labels", 3.0), effect("many_labels", 3.0, "emoji")
    )
    study = ledger(tmp_path)
    fresh = evidence(study).query("claim == 'few_labels'")["on_fresh_splits"]
    assert fresh.tolist() == pytest.approx([3.07] * 3)
    (row,) = pooled(study).to_dict("records")
    assert (row["claim"], row["datasets"], row["unit"]) == ("few_labels", 3, "points")
    assert row["estimate"] == pytest.approx(2.045, abs=1e-3)
    assert row["lower"] < row["estimate"] < row["upper"]
    assert len(views.pooled(study)) == 1
    assert "on splits 5 to 9" in views.effects(study)
