"""The ledger: what it reads of other studies, what it says of those that are missing, and what follows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from mlcl_utils.studies.claims import Effect

from mlcl_utils import studies
from mlcl_utils.stats import Replicates
from mlcl_utils.studies import claims, drawing, published
from mlcl_utils.studies.base import begin
from mlcl_utils.studies.ledger import report, sources
from mlcl_utils.studies.manifest import MANIFEST, file_digest

STUDY = studies.get("00_claims")
REGISTERED = [name for name in studies.names() if published.of(name)]


def effect(points, dataset="debtags", **more):
    values = np.array([points - 0.02, points - 0.01, points, points + 0.01, points + 0.02]) / 100
    return Effect(dataset, f"{dataset}, 100 labels", "A − B", Replicates(tuple(range(5)), values), **more)


def judged(results, name, effects, **given):
    """What a study leaves behind: its judged effects and a manifest that vouches for them."""
    study = begin(studies.get(name), {"preset": "quick", "results": str(results), **given})
    claims.table(study, effects)
    study.finish(device="cpu", seeds=[0], compute={"runs": 7, "failed": 1, "existed": 0, "seconds": 60.0})
    return study.folder


def ledger_of(results, **given):
    execution = begin(STUDY, {"preset": "quick", "results": str(results), **given})
    return execution, report.read(execution)


def test_results_of_the_same_preset_are_read_and_the_missing_are_named(tmp_path):
    judged(tmp_path, "02_label_space", {"many_labels": [effect(3.0), effect(-3.0, "emoji")]})
    execution, found = ledger_of(tmp_path)
    by_study = found.read.set_index("study")["state"]
    assert by_study["02_label_space"].startswith("read")
    assert (
        by_study["04_temperature"]
        == "04_temperature has no results at these parameters; mlcl run 04_temperature"
    )
    assert set(by_study.index) == {claim.study for claim in published.load()}
    rows = found.rows.set_index(["claim", "dataset"])
    assert rows.loc[("many_labels", "debtags"), "verdict"] == "holds"
    assert rows.loc[("many_labels", "emoji"), "verdict"] == "reversed"
    assert rows.loc[("uniformity_falls", "emoji"), "reason"].startswith("04_temperature has no results")
    assert list(dict.fromkeys(found.rows["claim"])) == [claim.id for claim in published.load()]
    assert found.compute == {"runs": 7, "failed": 1, "seconds": 60}
    written = claims.read(execution.folder / "tables" / "claims.csv")
    pd.testing.assert_frame_equal(claims.table_of(written), claims.table_of(found.rows))

    lines = report.sentences(found)
    assert "1 holds, 1 reversed" in lines[0]
    assert "04_temperature" in lines[1]
    assert "02_label_space" not in lines[1]
    assert any(
        "Holds on debtags, 100 labels; did not transfer on emoji, 100 labels." in line for line in lines
    )
    # another preset has nothing
    _, other = ledger_of(tmp_path, preset="standard")
    assert set(other.rows["verdict"]) == {"not judged"}
    assert "Without results" in report.sentences(other)[1]


def test_the_sentences_change_with_the_numbers(tmp_path):
    judged(tmp_path, "02_label_space", {"optimisation": [effect(3.0)]})
    before = report.sentences(ledger_of(tmp_path)[1])
    judged(tmp_path, "02_label_space", {"optimisation": [effect(0.1)]})
    after = report.sentences(ledger_of(tmp_path)[1])
    (changed,) = [(a, b) for a, b in zip(before[1:], after[1:], strict=True) if a != b]
    assert "Holds on debtags" in changed[0]
    assert "No material effect on debtags" in changed[1]


def test_parameters_are_passed_on(tmp_path):
    given = {"replicates": 5, "datasets": ["debtags"]}
    folder = judged(tmp_path, "02_label_space", {"optimisation": [effect(3.0)]}, **given)
    assert folder.name.startswith("quick-")
    _, plain = ledger_of(tmp_path)
    assert "has no results" in plain.read.set_index("study").loc["02_label_space", "state"]
    execution, same = ledger_of(tmp_path, **given)
    assert same.read.set_index("study").loc["02_label_space", "state"].startswith("read")
    assert execution.folder.name.startswith("quick-")


def test_a_study_that_refuses_the_parameters_is_named_with_its_reason(tmp_path):
    _, found = ledger_of(tmp_path, losses=["bce"])
    state = found.read.set_index("study").loc["04_temperature", "state"]
    assert state == "loss 'bce' has no temperature; name contrastive losses"


def damaged(folder):
    (folder / MANIFEST).write_text("{")


def tampered(folder):
    path = folder / "tables" / "claims.csv"
    path.write_text(path.read_text().replace("holds", "reversed"))


def removed(folder):
    (folder / "tables" / "claims.csv").unlink()


def unfinished(folder):
    (folder / MANIFEST).unlink()


def judged_by_others(folder):
    path = folder / "tables" / "claims.csv"
    manifest = json.loads((folder / MANIFEST).read_text())
    path.write_text(path.read_text().replace(published.digest(), "0" * 64))
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
    spoil(judged(tmp_path, "02_label_space", {"optimisation": [effect(3.0)]}))
    _, found = ledger_of(tmp_path)
    state = found.read.set_index("study").loc["02_label_space", "state"]
    assert said in state
    own = found.rows[found.rows["study"] == "02_label_space"]
    assert set(own["verdict"]) == {"not judged"}
    assert set(own["reason"]) == {state}


def test_it_is_out_of_date_when_a_study_has_new_results(tmp_path):
    parameters = STUDY.resolve({"preset": "quick", "results": str(tmp_path)})
    empty = STUDY.digest(parameters)
    judged(tmp_path, "02_label_space", {"optimisation": [effect(3.0)]})
    first = STUDY.digest(parameters)
    assert STUDY.digest(parameters) == first
    judged(tmp_path, "02_label_space", {"optimisation": [effect(1.0)]})
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
        {
            "uniformity_falls": [Effect("emoji", "emoji, cnn", "ρ", correlation)],
            "intermediate_best": [effect(1.0), effect(2.0)],
        },
    )
    execution, found = ledger_of(tmp_path)
    assert len(report.plot(execution, found)) == 2
    names = {path.name for path in (execution.folder / "figures").glob("*.pdf")}
    assert names == {"temperature.pdf", "temperature_rank_correlation.pdf"}
    again = drawing.redraw(STUDY, execution.folder, tmp_path / "acl", "acl")
    assert {path.name for path in again if path.suffix == ".pdf"} == names


def test_tables_name_what_cannot_be_judged(tmp_path):
    offered = {"optimisation": [effect(3.0, impediment="degenerate: Prototype"), effect(2.0, "emoji")]}
    judged(tmp_path, "02_label_space", offered)
    execution, found = ledger_of(tmp_path)
    shown = report.not_judged_table(found)
    assert shown.loc[("optimisation", "degenerate: Prototype"), "task"] == "debtags, 100 labels"
    effects = report.effects_table(found).reset_index()
    assert effects["verdict"].tolist() == ["not judged", "holds"]
    assert effects.loc[1, "over replicates"] != "–"
    assert effects.loc[1, "over test data (ratios: replays)"] == "–"
    overall = report.overall_table(execution, found)
    assert len(overall) == len(published.load())
    assert (execution.folder / "tables" / "overall.tex").is_file()
    text = report.reviewers_list(execution, found).data
    assert published.digest() in text


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
