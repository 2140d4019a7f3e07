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
from mlcl_utils.studies.published import load as claims

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
    """The nested parts of KMCL and BCE on every task that the sentence speaks of."""
    table = runs("06_kernel_mixture")
    said = sentence("06_kernel_mixture", published("06_kernel_mixture"))
    spoken = [
        name for name in dict.fromkeys(table["dataset"]) if f"n {name}," in said.partition("not judged")[0]
    ]
    assert spoken
    for dataset in spoken:
        own = table[table["dataset"] == dataset]
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
        part = said.partition(f"n {dataset},")[2].partition(";")[0]
        found = numbers(part)
        assert found[0] == pytest.approx(lead(reconstruction, asl), abs=0.051)
        assert found[3] == pytest.approx(lead(whole, reconstruction), abs=0.051)
        assert found[6] == pytest.approx(abs(lead(bce, whole)), abs=0.051)
        assert ("behind" in part) == (lead(bce, whole) > 0)


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
    said = sentence("05_hyperband", published("05_hyperband"))
    found = [float(each) for each in re.findall(r"(\d+\.\d+)(?: \[[^]]*\])? times on", said)]
    reached = [
        bool((table["ratio"] > 0)[(table["rival"] == rival) & (table["dataset"] == dataset)].all())
        for rival in ("random_search", "tpe")
        for dataset in ("debtags", "emoji")
    ]
    assert said.count("at most") == reached.count(False)
    assert said.count("[") == reached.count(True)  # a bound has no interval
    assert found == pytest.approx(expected, abs=0.051)


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


def test_temperature_from_its_runs() -> None:
    """The temperature chosen on validation against both ends of the range, on every task."""
    table = runs("04_temperature")
    said = sentence("04_temperature", published("04_temperature"))
    plain = table[
        (table["loss"] == "instance")
        & (table["loss_hard_fraction"].fillna(1.0) == 1)
        & (table["loss_scale"].fillna(1.0) == 1)
    ]
    tasks = dict(list(plain.groupby(["dataset", "encoder"])))
    judged = set()
    for (dataset, encoder), own in tasks.items():
        by_temperature = {t: rows.set_index("replicate") for t, rows in own.groupby("loss_temperature")}
        chosen = max(by_temperature, key=lambda t: by_temperature[t]["probe_validation_map"].mean())
        ends = [by_temperature[end(by_temperature)] for end in (min, max)]
        same = table[(table["dataset"] == dataset) & (table["encoder"] == encoder)]
        untrained = same[same["loss"] == "random_encoder"].set_index("replicate")["probe_map"]
        if all(rows["probe_map"].mean() >= untrained.mean() for rows in (by_temperature[chosen], *ends)):
            judged.add((dataset, encoder))
        if f"on {dataset}, {encoder}" in said:
            part = said.partition(f"on {dataset}, {encoder}")[2].partition(";")[0]
            leads = [by_temperature[chosen]["probe_map"] - rows["probe_map"] for rows in ends]
            assert all(each.notna().sum() >= 5 for each in leads)
            assert f"best τ {chosen:g}" in part or f"τ {chosen:g} in points" in part
            means = [100 * float(each.mean()) for each in leads]
            found = [float(each) for each in re.findall(r"([+-]\d+\.\d+) \[", part)]
            assert found == pytest.approx(means, abs=0.051)
    assert f"Of {len(tasks)} tasks {len(judged)} can be judged" in said


def test_geometry_over_the_temperatures_of_the_source() -> None:
    """What the figure's runs say of the one task that can be judged, with and without the lowest temperature."""
    table = runs("04_temperature")
    own = table[(table["encoder"] == "bag") & (table["loss"] == "instance")]
    hard = own["loss_hard_fraction"].fillna(1.0) < 1
    by = {
        name: rows.pivot_table(index="loss_temperature", columns="replicate", values="uniformity")
        for name, rows in (("plain", own[~hard]), ("hard", own[hard]))
    }
    said = sentence("04_temperature", published("04_temperature")).partition("the geometry")[2]

    def effects(lowest: float) -> tuple[float, float]:
        plain, near = (by[name].loc[lambda rows: rows.index >= lowest] for name in ("plain", "hard"))
        falls = [-spearmanr(plain.index, plain[replicate]).statistic for replicate in plain]
        narrower = (plain.max() - plain.min()) - (near.max() - near.min())
        return float(np.mean(falls)), float(narrower.mean())

    for words, at in (("−ρ(τ, uniformity)", 0), ("range of plain − range of hard", 1)):
        part = said.partition(f"{words} on debtags, 100 labels, bag is ")[2].partition(";")[0]
        found = [float(each) for each in re.findall(r"([+-]\d+\.\d+) \[", part)]
        assert found == pytest.approx([effects(0.07)[at], effects(0.0)[at]], abs=0.0051)


def test_geometry_is_silent_where_nothing_turns_or_nothing_rests_on_it(tmp_path: Path) -> None:
    shutil.copytree(published("04_temperature"), tmp_path / "given")
    path = tmp_path / "given" / "tables" / "source_range.csv"
    table = pd.read_csv(path)
    assert "the geometry" in sentence("04_temperature", tmp_path / "given")
    for changed in (table.assign(turns=False), table.assign(impediment="runs have failed: τ 0.3")):
        changed.to_csv(path, index=False)
        assert "the geometry" not in sentence("04_temperature", tmp_path / "given")
    table.drop(columns="turns").to_csv(path, index=False)
    with pytest.raises(DataError, match="tables of another version"):
        sentence("04_temperature", tmp_path / "given")


def test_label_space_from_its_runs() -> None:
    """The best loss of each kind on validation at the most labels of every encoder, read with the probe."""
    table = runs("02_label_space")
    table = table[
        (table["train_fraction"] == 1)
        & table["label_draw"].isna()
        & table["held_out"].isna()
        & table["dataset"].isin(["debtags", "emoji"])
    ]
    leads: dict[str, list[float]] = {"probe_macro_f1": [], "probe_map": []}
    for _, place in table.groupby(["dataset", "encoder"]):
        trained = place[place["loss"].map(info) != ""]
        own = place[place["num_labels"] == trained["num_labels"].max()].set_index("replicate")
        untrained = own.loc[own["loss"] == "random_encoder", "probe_map"].mean()
        best = {}
        for family in ("contrastive", "classification"):
            scores = own[own["loss"].map(info) == family].groupby("loss")["probe_validation_map"].mean()
            best[family] = own[own["loss"] == scores.idxmax()]
        if all(each["probe_map"].mean() >= untrained for each in best.values()):
            for metric, values in leads.items():
                difference = best["contrastive"][metric] - best["classification"][metric]
                assert difference.notna().sum() >= 5
                values.append(100 * float(difference.mean()))
    said = sentence("02_label_space", published("02_label_space"))
    for metric, name in (("probe_macro_f1", "macro-F1"), ("probe_map", "mAP")):
        span = re.search(rf"([+-]\d+\.\d) to ([+-]\d+\.\d) points of {name}", said)
        assert span is not None, said
        expected = [min(leads[metric]), max(leads[metric])]
        assert [float(each) for each in span.groups()] == pytest.approx(expected, abs=0.051)


def test_the_ledger_counts_the_verdicts_of_the_studies() -> None:
    """Every effect of the other studies' tables, counted once."""
    said = sentence("00_claims", published("00_claims"))
    tables = [
        pd.read_csv(published(name) / "tables" / "claims.csv")
        for name in sorted({claim.study for claim in claims()})
    ]
    rows = pd.concat([table for table in tables if len(table)], ignore_index=True)
    counts = (
        rows["verdict"]
        .where(~((rows["verdict"] == "reversed") & (rows["setting"] == "changed")), "did not transfer")
        .value_counts()
    )
    assert f"{rows['claim'].nunique()} claims ask for {len(rows)} effects" in said
    assert {
        word: int(count) for word, count in re.findall(r"([a-z][a-z ]+) on (\d+)", said.partition(": ")[2])
    } == dict(counts)


def info(loss: str) -> str:
    return losses.info(loss).family if loss in losses.available() else ""


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "03_vision_text"])
def test_other_tables_give_another_sentence(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "standard"
    shutil.copytree(
        published(name), folder, ignore=shutil.ignore_patterns("*.png", "*.pdf", "*.svg", "*.html", "*.ipynb")
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
