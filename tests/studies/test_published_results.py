"""The published tables from their runs, by other code than the package's: the effects of every claim and headline."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mlcl_utils import losses, studies
from mlcl_utils.figures import style
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies.manifest import MANIFEST

PUBLISHED = [
    name for name in studies.names() if (CHECKOUT / "results" / name / "standard" / MANIFEST).is_file()
]


def results(name: str) -> Path:
    if name not in PUBLISHED:
        pytest.skip("its results are not published yet")
    return CHECKOUT / "results" / name / "standard"


def effects(name: str, *claims: str) -> pd.DataFrame:
    """The measured effects of some claims, as they are published."""
    rows = pd.read_csv(results(name) / "tables" / "claims.csv")
    return rows[rows["claim"].isin(claims) & rows["estimate"].notna()]


def runs(name: str) -> pd.DataFrame:
    table = pd.read_csv(results(name) / "runs.csv", low_memory=False)
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


def family(loss: str) -> str:
    return losses.info(loss).family if loss in losses.available() else ""


def test_kernel_mixture() -> None:
    """What each part of KMCL adds to those before it, and BCE minus the whole in the key figure."""
    table = runs("06_kernel_mixture")
    rows = effects("06_kernel_mixture", "kmcl_reconstruction", "kmcl_contrast").set_index(
        ["claim", "dataset"]
    )
    drawn = pd.read_csv(results("06_kernel_mixture") / "figures" / "parts.differences.csv")
    assert len(rows)
    for dataset in table["dataset"].unique():
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
        added = lead(reconstruction, asl), lead(whole, reconstruction)
        for claim, value in zip(("kmcl_reconstruction", "kmcl_contrast"), added, strict=True):
            assert rows.loc[(claim, dataset), "estimate"] == pytest.approx(value, abs=1e-6)
        there = drawn[drawn["dataset"].str.startswith(f"{dataset},")].set_index("loss")["estimate"]
        behind = lead(own[own["loss"] == "bce"], whole)
        assert there["bce"] - there["kmcl"] == pytest.approx(behind, abs=1e-6)


def test_missing_labels() -> None:
    """CLML at the published weight minus the same loss without it, in every condition that loses positives."""
    table = runs("01_missing_labels")
    table = table[(table["kept_share"] < 1) | table["one_positive"]]
    table = table[~table["clean_validation"]]
    found = {}
    for (dataset, share, one), own in table.groupby(["dataset", "kept_share", "one_positive"]):
        by_loss = dict(list(own.groupby("loss")))
        for name in [name for name in by_loss if name.endswith("+clml")]:
            first = by_loss[name][by_loss[name]["loss_clml"] == str({"weight": 1 / 256})]
            base = name.removesuffix("+clml")
            words = "one positive" if one else f"{share:.0%} kept"
            found[dataset, words, style.look(base).label] = lead(first, by_loss[base])
    rows = effects("01_missing_labels", "clml_helps")
    assert len(rows) == len(found)
    for _, row in rows.iterrows():
        key = row["dataset"], row["task"].rpartition(", ")[2], row["arms"].rpartition(" − ")[2]
        assert row["estimate"] == pytest.approx(found[key], abs=1e-6)


def test_hyperband() -> None:
    """Geometric means over splits; a target that was not reached counts as reached at the end of the budget."""
    table = pd.read_csv(results("05_hyperband") / "figures" / "speed_ups.ratios.csv")
    table = table[table["score"] == "test"]
    table["value"] = table["ratio"].where(table["ratio"] > 0, table["bound"])
    for claim, rival in (
        ("hyperband_random_tenfold", "random_search"),
        ("hyperband_bayesian_tenfold", "tpe"),
    ):
        for _, row in effects("05_hyperband", claim).iterrows():
            own = table[(table["rival"] == rival) & (table["dataset"] == row["dataset"])]
            assert row["estimate"] == pytest.approx(float(np.exp(np.log(own["value"]).mean())), abs=1e-6)
            remark = str(row["remark"]) if isinstance(row["remark"], str) else ""
            assert remark.startswith("not reached") == bool((own["ratio"] == 0).any())


def test_vision_text() -> None:
    """Spearman's correlation of means over halves of the replicates, averaged over all divisions into halves."""
    table = runs("03_vision_text")
    own = table.pivot_table(index=["dataset", "loss"], columns="replicate", values="probe_map")
    means = own.mean(axis=1)
    trained = [
        loss
        for loss in own.loc["debtags"].index
        if family(loss) in ("classification", "contrastive")
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

    rows = pd.read_csv(results("03_vision_text") / "tables" / "correlations.csv")
    ((_, row),) = rows[(rows["head"] == "probe") & (rows["metric"] == "map")].iterrows()
    assert sorted(row["losses"].split()) == sorted(trained)
    for name, (one, other) in {"between": (0, 1), "within texts": (0, 0), "within images": (1, 1)}.items():
        assert row[f"{name}_estimate"] == pytest.approx(correlation(sides[one], sides[other]), abs=1e-6)


def test_temperature() -> None:
    """The temperature chosen on validation against both ends of the range, on every task."""
    table = runs("04_temperature")
    plain = table[
        (table["loss"] == "instance")
        & (table["loss_hard_fraction"].fillna(1.0) == 1)
        & (table["loss_scale"].fillna(1.0) == 1)
    ]
    rows = effects("04_temperature", "intermediate_best")
    tasks = dict(list(plain.groupby(["dataset", "encoder"])))
    assert len(rows) == 2 * len(tasks)
    for (dataset, encoder), own in tasks.items():
        by_temperature = {t: each.set_index("replicate") for t, each in own.groupby("loss_temperature")}
        chosen = max(by_temperature, key=lambda t: by_temperature[t]["probe_validation_map"].mean())
        frozen = ~rows["task"].str.contains("labels, ")
        there = rows[
            (rows["dataset"] == dataset)
            & (frozen if encoder == "frozen" else rows["task"].str.endswith(encoder))
        ]
        assert there["arms"].str.startswith(f"best τ {chosen:g} −").all()
        for word, end in (("lowest", min), ("highest", max)):
            values = by_temperature[chosen]["probe_map"] - by_temperature[end(by_temperature)]["probe_map"]
            (estimate,) = there.loc[there["arms"].str.contains(word), "estimate"]
            assert estimate == pytest.approx(100 * float(values.mean()), abs=1e-6)


def test_geometry() -> None:
    """What the runs with words from nothing say, over all temperatures and over those of the original paper."""
    table = runs("04_temperature")
    own = table[(table["encoder"] == "bag") & (table["loss"] == "instance")]
    hard = own["loss_hard_fraction"].fillna(1.0) < 1
    by = {
        name: rows.pivot_table(index="loss_temperature", columns="replicate", values="uniformity")
        for name, rows in (("plain", own[~hard]), ("hard", own[hard]))
    }

    def expected(lowest: float) -> tuple[float, float]:
        plain, near = (by[name].loc[lambda rows: rows.index >= lowest] for name in ("plain", "hard"))
        falls = [-spearmanr(plain.index, plain[replicate]).statistic for replicate in plain]
        narrower = (plain.max() - plain.min()) - (near.max() - near.min())
        return float(np.mean(falls)), float(narrower.mean())

    rows = pd.read_csv(results("04_temperature") / "tables" / "source_range.csv")
    rows = rows[rows["task"] == "debtags, 100 labels, bag"].set_index("measured")
    for at, words in enumerate(("−ρ(τ, uniformity)", "range of plain − range of hard")):
        assert rows.loc[words, "estimate"] == pytest.approx(expected(0.0)[at], abs=1e-6)
        assert rows.loc[words, "source_estimate"] == pytest.approx(expected(0.07)[at], abs=1e-6)


def test_label_space() -> None:
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
        trained = place[place["loss"].map(family) != ""]
        own = place[place["num_labels"] == trained["num_labels"].max()].set_index("replicate")
        chosen = {}
        for kind in ("contrastive", "classification"):
            scores = own[own["loss"].map(family) == kind].groupby("loss")["probe_validation_map"].mean()
            chosen[kind] = own[own["loss"] == scores.idxmax()]
        for metric, values in leads.items():
            difference = chosen["contrastive"][metric] - chosen["classification"][metric]
            assert difference.notna().sum() >= 5
            values.append(100 * float(difference.mean()))
    ahead, not_ahead = (
        effects("02_label_space", name)["estimate"] for name in ("many_labels", "not_ahead_map")
    )
    assert sorted(ahead) == pytest.approx(sorted(leads["probe_macro_f1"]), abs=1e-6)
    assert sorted(-not_ahead) == pytest.approx(sorted(leads["probe_map"]), abs=1e-6)


def test_the_ledger_has_every_effect_of_the_studies() -> None:
    keys = ["claim", "task", "arms", "verdict"]
    others = [
        pd.read_csv(path)
        for path in sorted(results("00_claims").parents[1].glob("0[1-9]*/standard/tables/claims.csv"))
    ]
    rows = pd.concat([table for table in others if len(table)], ignore_index=True)[keys].fillna("")
    ledger = pd.read_csv(results("00_claims") / "tables" / "claims.csv")[keys].fillna("")
    order = {"by": keys, "ignore_index": True}
    pd.testing.assert_frame_equal(ledger.sort_values(**order), rows.sort_values(**order))
