"""The sentences that the README quotes: they follow from the tables, and their numbers from the runs."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mlcl_utils import losses, studies
from mlcl_utils.errors import DataError
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import findings
from mlcl_utils.studies.manifest import MANIFEST

PUBLISHED = [
    name for name in studies.names() if (CHECKOUT / "results" / name / "standard" / MANIFEST).is_file()
]


def published(name: str) -> Path:
    if name not in PUBLISHED:
        pytest.skip("its results are not published yet")
    return CHECKOUT / "results" / name / "standard"


def sentence(name: str, folder: Path) -> str:
    found = findings.of(studies.get(name), folder)
    assert found is not None
    return found.sentence


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"(?<![\w.])[+-]?\d+\.\d+", text)]


def runs(name: str) -> pd.DataFrame:
    table = pd.read_csv(published(name) / "runs.csv", low_memory=False)
    return table[table["column"] == ("tuned" if (table["column"] == "tuned").any() else "default")]


def best(own: pd.DataFrame, metric: str = "map") -> pd.Series:
    """A metric by replicate, with the head that is better on validation over the replicates."""
    head = max(
        ("direct", "probe"), key=lambda each: np.nan_to_num(own[f"{each}_validation_map"].mean(), nan=-1)
    )
    return own.set_index("replicate")[f"{head}_{metric}"]


def lead(first: pd.DataFrame, second: pd.DataFrame, metric: str = "map") -> float:
    """Mean difference over replicates, in points."""
    difference = best(first, metric) - best(second, metric)
    assert len(difference) >= 5
    assert difference.notna().all()
    return 100 * float(difference.mean())


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_study_has_a_key_figure_and_one_sentence(name: str) -> None:
    found = findings.of(studies.get(name), published(name))
    assert found is not None
    assert (published(name) / "figures" / f"{found.figure}.png").is_file()
    assert found.sentence.endswith(".")
    assert not re.search(r"nan|inf\b|None", found.sentence)


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
    assert len(text.splitlines()) < 250
    for name in PUBLISHED:
        assert sentence(name, published(name)) in text


def test_kernel_mixture_from_its_runs() -> None:
    table = runs("06_kernel_mixture")
    own = table[table["dataset"] == "debtags"]
    mixture = own[own["loss"] == "kmcl"]
    usual = mixture[
        (mixture["loss_kernel"].fillna("bhattacharyya") == "bhattacharyya")
        & (mixture["loss_stable"].fillna(True).astype(str) != "False")
    ]
    weights = usual[["loss_reconstruction", "loss_contrastive"]].fillna(1.0)
    asl, reconstruction, whole = (
        usual[(weights["loss_reconstruction"] == one) & (weights["loss_contrastive"] == other)]
        for one, other in ((0, 0), (1, 0), (1, 1))
    )
    bce = own[own["loss"] == "bce"]
    said = sentence("06_kernel_mixture", published("06_kernel_mixture"))
    found = numbers(said.partition("; on fashion")[0])
    assert found[0] == pytest.approx(lead(reconstruction, asl), abs=0.051)
    assert found[3] == pytest.approx(lead(whole, reconstruction), abs=0.051)
    assert found[6] == pytest.approx(abs(lead(bce, whole)), abs=0.051)
    assert ("behind" in said) == (lead(bce, whole) > 0)


def test_missing_labels_from_its_runs() -> None:
    table = runs("01_missing_labels")
    table = table[(table["kept_share"] < 1) | table["one_positive"]]
    table = table[~table["clean_validation"]]
    published_weight = str({"weight": 1 / 256})
    means = []
    for _, own in table.groupby(["dataset", "kept_share", "one_positive"]):
        by_loss = dict(list(own.groupby("loss")))
        untrained = by_loss["random_encoder"]["probe_map"].mean()
        for name in [name for name in by_loss if name.endswith("+clml")]:
            first = by_loss[name][by_loss[name]["loss_clml"] == published_weight]
            second = by_loss[name.removesuffix("+clml")]
            if all(head_score(each) >= untrained for each in (first, second)):
                means.append(lead(first, second))
    found = numbers(sentence("01_missing_labels", published("01_missing_labels")))
    assert f"over {len(means)} pairs" in sentence("01_missing_labels", published("01_missing_labels"))
    assert found[:2] == pytest.approx([min(means), max(means)], abs=0.051)


def head_score(own: pd.DataFrame) -> float:
    return float(best(own).mean())


def test_hyperband_from_its_replays() -> None:
    """Geometric means over splits; a target that was not reached counts as reached at the end of the budget."""
    table = pd.read_csv(published("05_hyperband") / "figures" / "speed_ups.ratios.csv")
    table = table[table["score"] == "test"]
    ratios = table["ratio"].where(table["ratio"] > 0, table["bound"])
    expected = [
        float(np.exp(np.log(ratios[(table["rival"] == rival) & (table["dataset"] == dataset)]).mean()))
        for rival in ("random_search", "tpe")
        for dataset in ("debtags", "emoji")
    ]
    found = numbers(sentence("05_hyperband", published("05_hyperband")))
    assert found[::3] == pytest.approx(expected, abs=0.051)


def test_vision_text_from_its_runs() -> None:
    """Spearman's correlation of means over halves of the replicates, averaged over all divisions into halves."""
    table = runs("03_vision_text")
    own = table.pivot_table(index=["dataset", "loss"], columns="replicate", values="probe_map")
    means = own.mean(axis=1)
    trained = [
        loss
        for loss in own.loc["debtags"].index
        if info(loss) in ("classification", "contrastive")
        and all(means[name, loss] >= means[name, "random_encoder"] for name in ("debtags", "emoji"))
    ]
    sides = [own.loc[name].loc[trained].to_numpy() for name in ("debtags", "emoji")]
    halves = [
        (list(half), [at for at in range(5) if at not in half])
        for half in itertools.combinations(range(5), 2)
    ]

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        pairs = [*halves, *(half[::-1] for half in halves)]
        return float(
            np.mean([spearmanr(one[:, a].mean(axis=1), other[:, b].mean(axis=1)).statistic for a, b in pairs])
        )

    said = sentence("03_vision_text", published("03_vision_text"))
    found = numbers(said)
    assert f"of {len(trained)} losses" in said
    for at, (one, other) in zip((0, 3, 6), ((0, 1), (0, 0), (1, 1)), strict=True):
        assert found[at] == pytest.approx(correlation(sides[one], sides[other]), abs=0.0051)


def info(loss: str) -> str:
    return losses.info(loss).family if loss in losses.available() else ""


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "03_vision_text"])
def test_other_tables_give_another_sentence(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "standard"
    shutil.copytree(
        published(name), folder, ignore=shutil.ignore_patterns("*.p*", "*.svg", "*.html", "*.ipynb")
    )
    path = folder / "tables" / "claims.csv"
    table = pd.read_csv(path)
    before = sentence(name, folder)
    for column in ("estimate", "lower", "upper"):
        table[column] = table[column] + 3
    table["verdict"] = table["verdict"].replace({"undetermined": "holds", "holds": "reversed"})
    table.to_csv(path, index=False)
    assert sentence(name, folder) != before
    table["verdict"] = "not judged"
    table.to_csv(path, index=False)
    assert sentence(name, folder) not in (before, "")


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"claims\.csv"):
        findings.of(studies.get("06_kernel_mixture"), tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "claims.csv").write_text("claim,verdict\nkmcl_contrast,holds\n")
    with pytest.raises(DataError, match="no table of claims"):
        findings.of(studies.get("06_kernel_mixture"), tmp_path)
