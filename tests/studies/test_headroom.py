"""Headroom: what is read, on which splits, and that a setting without it is not judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import comparisons, headroom, judgements, published, tables
from mlcl_utils.training import Recipe
from tests.studies import made
from tests.studies.test_label_space import STUDY, led


def test_it_is_the_best_loss_minus_the_untrained_encoder_on_validation_of_two_splits(tmp_path: Path) -> None:
    study = led(tmp_path, {10: 0.02, 100: 0.06})
    for arm, members in study.arms.items():
        for run in members:
            far = run.config.replicate >= 2  # what these splits say is not looked at
            value = {"random_encoder": 0.3, "bce": 0.31, "reg": 0.32 if arm.num_labels == 10 else 0.35}.get(
                arm.loss, 0.2
            )
            value = 0.9 if far and arm.loss == "bce" else value
            run.metrics["probe_validation_map"] = run.metrics["probe_validation_macro_f1_per_label"] = value
    rows = headroom.frame(study).set_index("claim")
    found = rows["headroom"].round(6).to_dict()
    assert {name: found[name] for name in ("few_labels", "lead_grows", "many_labels", "not_ahead_map")} == {
        "few_labels": 2.0, "lead_grows": 2.0, "many_labels": 5.0, "not_ahead_map": 5.0
    }  # fmt: skip
    assert all(found[f"{name}_source"] == found[name] for name in ("few_labels", "lead_grows", "many_labels"))
    assert set(rows["loss"]) == {"REG"}
    assert rows["eligible"].all()
    assert rows["metric"]["not_ahead_map"] == "validation_map"
    shown = tables.headroom(study)
    assert (study.folder / "tables" / "headroom.csv").is_file()
    assert len(shown) == len(rows)


def test_where_positives_are_lost_it_is_what_all_of_them_would_bring(tmp_path: Path) -> None:
    own = studies.get("01_missing_labels")

    def config(loss: str, kept: float, replicate: int) -> RunConfig:
        recipe = Recipe(epochs=1)
        task: dict[str, Any] = {"dataset": "debtags", "num_labels": 10, "base_labels": 10, "recipe": recipe}
        return RunConfig(**task, loss=loss, kept_share=kept, replicate=replicate, seed=replicate)

    values = {("bce", 1.0): 0.60, ("bce", 0.4): 0.597, ("bce+clml", 0.4): 0.62}
    runs = [
        made.run(tmp_path, config(loss, kept, replicate), {"probe_map": value, "probe_validation_map": value})
        for (loss, kept), value in values.items()
        for replicate in range(2)
    ]
    parameters = own.resolve({"preset": "smoke", "datasets": "debtags", "losses": "bce"})
    (row,) = headroom.frame(made.execution(own, parameters, tmp_path, runs)).to_dict("records")
    assert (row["claim"], row["metric"], row["loss"]) == ("clml_helps", "map", "BCE")
    assert row["headroom"] == pytest.approx(0.3)
    assert not row["eligible"]


def test_a_task_that_a_claim_does_not_name_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = led(tmp_path, {10: 0.06, 100: 0.06})
    given = published.of(STUDY.name)

    def verdicts(eligible: tuple[str, ...] | None) -> dict[str, tuple[str, str]]:
        changed = tuple(
            claim.model_copy(update={"eligible": eligible}) if claim.id == "many_labels" else claim
            for claim in given
        )
        with monkeypatch.context() as patch:
            patch.setattr(published, "of", lambda name: changed)
            patch.setattr(published, "piloted", lambda: {("many_labels", "debtags, 100 labels")})
            declared = study.measures.comparisons(study)
            rows = judgements.of(STUDY.name, comparisons.frame(STUDY.name, declared, study.arms))
        own = rows[rows["estimate"].notna()].set_index("claim")
        return {name: (own["verdict"][name], own["reason"][name]) for name in ("many_labels", "few_labels")}

    assert verdicts(None)["many_labels"] == ("holds", "")
    assert verdicts(("debtags, 100 labels",))["many_labels"] == ("holds", "")
    assert verdicts(("emoji, 100 labels",)) == {
        "many_labels": ("not judged", "no headroom"),
        "few_labels": ("opposite", ""),
    }
    # a task that no pilot has looked at is judged like any other
    monkeypatch.setattr(published, "piloted", lambda: {("many_labels", "emoji, 100 labels")})
    many = next(claim for claim in given if claim.id == "many_labels").model_copy(update={"eligible": ()})
    assert published.has_headroom(many, "debtags, 100 labels")
    assert not published.has_headroom(many, "emoji, 100 labels")


def test_the_claims_name_the_tasks_that_the_pilot_found() -> None:
    rows = pd.read_csv(published.PILOT)
    assert (rows["eligible"] == (rows["headroom"] >= rows["margin"])).all()
    for name, own in rows.groupby("claim"):
        claim = next(each for each in published.load() if each.id == name)
        assert claim.margin == own["margin"].iloc[0]
        assert sorted(claim.eligible or ()) == sorted(own.loc[own["eligible"], "task"])
    named = {claim.id for claim in published.load() if claim.eligible is not None}
    assert named == set(rows["claim"])
