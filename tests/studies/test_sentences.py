"""Text from frames: effects, verdicts, headlines, and what the README quotes of the published results."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.errors import DataError
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import judgements, published, sentences, tables
from mlcl_utils.studies.manifest import MANIFEST
from mlcl_utils.studies.sentences import Line

PUBLISHED = [
    name for name in studies.names() if (CHECKOUT / "results" / name / "standard" / MANIFEST).is_file()
]


def row(
    name: str, dataset: str, verdict: str, estimate: float = np.nan, half: float = 1.0, **more: Any
) -> dict[str, Any]:
    """A row of claims."""
    claim = next(claim for claim in published.load() if claim.id == name)
    numbers = {"estimate": estimate, "lower": estimate - half, "upper": estimate + half}
    cells = {"arms": "A − B", "reason": "", "remark": "", "task": f"{dataset}, 10 labels"}
    return {**judgements.unmeasured(claim, dataset, ""), **cells, "verdict": verdict, **numbers, **more}


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(given))


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1.234, "+.1f", "+1.2"),
        (-1.26, "+.1f", "−1.3"),
        (-0.04, "+.1f", "0.0"),  # nothing is minus zero
        (0.0, ".2f", "0.00"),
        (-1234.5, ",.0f", "−1,234"),
        (0.7, ".1f", "0.7"),
        (np.nan, ".1f", "–"),
        (np.inf, ".1f", "–"),
    ],
)
def test_numbers(value: float, form: str, text: str) -> None:
    assert sentences.number(value, form) == text


def test_an_effect_has_its_interval_its_unit_decides_the_digits() -> None:
    points = rows(row("clml_helps", "debtags", "holds", 1.25, 0.5)).iloc[0]
    assert sentences.effect(points) == "+1.2 [+0.8, +1.8]"
    correlation = rows(row("uniformity_falls", "debtags", "holds", -0.5, 0.25)).iloc[0]
    assert sentences.effect(correlation) == "−0.50 [−0.75, −0.25]"
    ratio = rows(row("hyperband_random_faster", "debtags", "holds", 2.0, 0.5)).iloc[0]
    assert sentences.effect(ratio) == "2.0 [1.5, 2.5]"
    bound = rows(row("hyperband_random_faster", "debtags", "opposite", 0.8, 0.5, censored=True)).iloc[0]
    assert sentences.effect(bound) == "at most 0.8"
    assert sentences.effect(rows(row("clml_helps", "debtags", "not judged")).iloc[0]) == "–"
    alone = rows(row("clml_helps", "debtags", "not judged", 1.0, np.nan)).iloc[0]
    assert sentences.effect(alone) == "+1.0"


def test_the_opposite_in_a_changed_setting_did_not_transfer() -> None:
    found = rows(
        row("clml_helps", "debtags", "holds", 4.0, task="debtags, 300 labels"),
        row("clml_helps", "emoji", "opposite", -4.0),
        row("clml_helps", "emoji", "opposite", -2.0, arms="C − D"),
        row("clml_helps", "fashion-scenes", "no material effect", 0.0),
        row("clml_helps", "fashion-scenes", "not judged", reason="dead", task="fashion-scenes"),
    )
    assert (
        sentences.counted(found)
        == "holds on 1, did not transfer on 2, no material effect on 1, not judged on 1"
    )
    assert sentences.claims(found) == [
        Line(
            "CLML does not improve every base loss when labels are missing.",
            " On emoji (10 labels), A − B is −4.0 [−5.0, −3.0] points of mAP. Of 4 comparisons 1 are for the"
            " claim and 3 are against the claim. Try CLML beside plain BCE and beside a plain norm of equal"
            " gradient; losses made for missing labels do not need it.",
        )
    ]
    assert sentences.overall(found) == (
        "1 of 4 hold, where every one has to; holds on debtags, 300 labels; did not transfer on emoji, 10 labels"
        " (A − B) and emoji, 10 labels (C − D); no material effect on fashion-scenes, 10 labels; not judged on"
        " fashion-scenes"
    )
    same = rows(row("clml_helps", "debtags", "opposite", -4.0, setting="same"))
    assert sentences.counted(same) == "opposite on 1"


def test_what_became_of_a_claim() -> None:
    """In bold what is so, then its clearest effect, where else, and what follows for practice."""
    statement = {claim.id: claim for claim in published.load()}["many_labels"].statement
    holds = row("many_labels", "debtags", "holds", 4.0)
    refuted = row("many_labels", "emoji", "opposite", -0.44)
    unclear = row("many_labels", "fashion-scenes", "open", 0.1)
    unknown = row("many_labels", "fashion-scenes", "not judged", 9.0, reason="a dead term")
    metric = "macro-F1 (per-label thresholds)"
    clearest = f" On debtags (10 labels), A − B is +4.0 [+3.0, +5.0] points of {metric}."
    so = " With hundreds of labels, try REG before tuning BCE."
    assert sentences.claim(rows(holds, unknown)) == Line(statement, clearest + so)
    assert sentences.claim(rows(holds, unclear)) == Line(
        statement, f"{clearest} Open on fashion-scenes (10 labels).{so}"
    )
    mixed = sentences.claim(rows(holds, refuted))
    assert mixed == Line(
        f"It depends on the task: {statement}", f"{clearest} Against the claim on emoji (10 labels)."
    )
    against = sentences.claim(rows(refuted))
    assert (
        against.head == "With many labels, no contrastive loss is ahead on macro-F1 once all are read alike."
    )
    assert against.text.endswith("read every loss with the same probe before choosing.")
    assert sentences.claim(rows(unclear)).head == f"Open: {statement}"
    assert sentences.claim(rows(unknown)) == Line(f"Not measured: {statement}", "")


def test_a_claim_on_every_comparison_is_refuted_by_one() -> None:
    found = rows(row("clml_helps", "debtags", "holds", 9.0), row("clml_helps", "emoji", "opposite", -0.44))
    said = sentences.claim(found)
    assert said.head == "CLML does not improve every base loss when labels are missing."
    assert said.text.startswith(
        " On emoji (10 labels), A − B is −0.4 ["
    )  # what refutes it, not what is clearest


def test_with_too_few_splits_for_a_verdict_the_evidence_is_said() -> None:
    few = {"reason": "2 replicates, 5 are needed"}
    strong = row("many_labels", "debtags", "not judged", 4.0, evidence="strong for", **few)
    leaning = row("many_labels", "emoji", "not judged", 1.0, evidence="leaning for", **few)
    said = sentences.claim(rows(strong, leaning))
    assert said.head == "With many labels, contrastive losses are ahead on macro-F1."
    assert "Open on emoji (10 labels)." in said.text


def test_many_comparisons_are_counted() -> None:
    many = rows(*(row("many_labels", "debtags", "holds", 4.0, task=f"task {at}") for at in range(6)))
    assert "On task 0," in sentences.claim(many).text
    assert "The other 5 comparisons agree." in sentences.claim(many).text
    most = rows(*many.to_dict("records"), row("many_labels", "emoji", "open", 0.0))
    assert "Of 7 comparisons 6 are for the claim and 1 are open." in sentences.claim(most).text


def test_a_bound_of_a_ratio_is_worded_as_one() -> None:
    ratios = rows(
        row("hyperband_random_faster", "debtags", "holds", 2.0),
        row("hyperband_random_faster", "emoji", "opposite", 0.5, 0.1, censored=True),
    )
    said = sentences.claim(ratios)
    assert said.head.startswith("It depends on the task: Hyperband is faster")
    assert said.text.startswith(" On emoji (10 labels), A − B is at most 0.5 times.")


def test_the_table_of_claims_shows_effect_margin_and_verdict() -> None:
    shown = tables.judged(
        rows(row("clml_helps", "debtags", "opposite", -4.0, 0.3, remark="below logistic regression: BCE"))
    )
    assert shown.reset_index().loc[0].tolist() == [
        "clml_helps", "debtags, 10 labels", "A − B", "", "−4.0 [−4.3, −3.7]", "0.5 points", "opposite", "",
        "below logistic regression: BCE",
    ]  # fmt: skip


def test_what_lies_below_a_baseline_is_counted_by_head() -> None:
    own = [
        ("bce", "below logistic regression"),
        ("reg", "below the untrained encoder"),
        ("asl", ""),
        ("prior", ""),
    ]
    frame = pd.DataFrame(
        [
            {"loss": loss, "head": head, "metric": metric, "flag": flag if head == "probe" else ""}
            for loss, flag in own
            for head in ("probe", "direct")
            for metric in ("map", "macro_f1")
        ]
    )
    assert sentences.flagged(frame) == [
        Line("Read with the probe, 1 of 3 trained arms lie below the untrained encoder", ": REG."),
        Line("Read with the probe, 1 of 3 trained arms lie below logistic regression", ": BCE."),
    ]


def test_lines_are_text_in_a_notebook() -> None:
    shown = str(sentences.markdown([Line("a*b", " <c> _d_"), Line("", "e")]).data)
    assert shown.startswith("- **a\\*b** &lt;c&gt;")
    assert shown.splitlines()[1] == "- e"


# --- the published results


def results(name: str) -> Path:
    if name not in PUBLISHED:
        pytest.skip("its results are not published yet")
    return CHECKOUT / "results" / name / "standard"


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "00_claims"])
def test_every_published_study_has_a_key_figure_and_a_headline(name: str) -> None:
    found = sentences.finding(studies.get(name), results(name))
    assert found is not None
    assert (results(name) / "figures" / f"{found.figure}.png").is_file()
    said = " ".join(head + text for head, text in found.lines)
    assert said.endswith(".")
    assert not {"nan", "inf", "None"} & set(said.replace(",", " ").split())


def test_the_readme_says_what_the_results_say() -> None:
    spec = importlib.util.spec_from_file_location("readme", CHECKOUT / "docs" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    text = readme.README.read_text(encoding="utf-8")
    changed = subprocess.run(["git", "status", "--porcelain", "results"], cwd=CHECKOUT, capture_output=True)
    if changed.returncode == 0 and changed.stdout:
        pytest.skip("the results here are not the committed ones, of which the README speaks")
    assert readme.written(text) == text, "run: make readme"
    assert len(text.splitlines()) < 150


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "03_vision_text"])
def test_other_tables_give_another_headline(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "standard"
    shutil.copytree(
        results(name), folder, ignore=shutil.ignore_patterns("*.png", "*.pdf", "*.svg", "*.html", "*.ipynb")
    )
    path = folder / "tables" / "claims.csv"
    table = pd.read_csv(path)

    def headline() -> list[Line]:
        found = sentences.finding(studies.get(name), folder)
        assert found is not None
        return list(found.lines)

    before = headline()
    for column in ("estimate", "lower", "upper"):
        table[column] = table[column] + 3
    table["verdict"] = table["verdict"].replace({"open": "holds", "holds": "opposite"})
    table.to_csv(path, index=False)
    assert headline() != before
    table["verdict"] = "not judged"
    table.to_csv(path, index=False)
    assert headline() not in (before, [])


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"claims\.csv"):
        sentences.finding(studies.get("06_kernel_mixture"), tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "claims.csv").write_text("claim,verdict\nkmcl_contrast,holds\n")
    with pytest.raises(DataError, match="no table of claims"):
        sentences.finding(studies.get("06_kernel_mixture"), tmp_path)
