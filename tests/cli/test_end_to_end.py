"""Encoders trained end to end, from the command line to the report, as a user would."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.data.readers.conftest import SHARED, write_coco
from tests.features.models import write_text_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def mlcl(*words: str, cache: Path) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("mlcl")), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"MLCL_CACHE": str(cache)},
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_a_backbone_on_coco_from_the_command_line_to_the_report(tmp_path: Path) -> None:
    root = SHARED / "coco_tiny"
    if not root.is_dir():
        root = tmp_path / "data"
        write_coco(root / "coco", train=40, validation=20)
    words = ["datasets=coco", f"data_root={root}", "encoders=resnet18@32:random", "num_labels=2,3"]
    words += ["matched_num_labels=2", "held_out=[]", "end_to_end_num_labels=2,3", "losses=bce,mulsupcon"]
    words += ["recipe=batch_size=8,ema=0.9,augment=strong,accumulate=2"]
    given = [part for word in words for part in ("-p", word)]
    results = str(tmp_path / "results")
    command = ("run", "02_label_space", "--preset", "smoke", "--results", results, *given)
    said = mlcl(*command, cache=tmp_path / "cache")
    assert "1 of 1 complete" in said
    (table,) = (tmp_path / "results" / "02_label_space").glob("*/runs.csv")
    runs = pd.read_csv(table)
    ours = runs[runs["loss"].isin(["bce", "mulsupcon"])]
    assert set(ours["encoder"]) == {"resnet18@32:random"}
    assert (ours["augment"] == "strong").all()
    assert ours["probe_map"].notna().all()
    assert (ours["time_waiting"] >= 0).all()
    assert (ours["parameters"] > 11e6).all()  # the backbone's, not a head's alone
    assert len(list((tmp_path / "cache" / "pixels").rglob("32.npy"))) == 1
    assert not list((tmp_path / "results" / "runs").glob(".kept-*"))
    mlcl("report", "--results", results, cache=tmp_path / "cache")
    page = (tmp_path / "results" / "report" / "index.html").read_text()
    assert "Small versus large label spaces" in page
    again = mlcl(*command, cache=tmp_path / "cache")
    assert "up to date" in again or "0 runs done" in again


def test_a_transformer_on_a_table_of_texts(tmp_path: Path) -> None:
    model = write_text_model(tmp_path / "tiny")
    with (tmp_path / "notes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "labels"])
        for number in range(120):
            labels = ["film" if number % 2 else "review", *(["long"] if number % 3 == 0 else [])]
            writer.writerow([f"a {' '.join(labels)} note number {number}", ";".join(labels)])
    words = ["datasets=notes.csv", f"data_root={tmp_path}", f"encoders={model}@12", "num_labels=2,3"]
    words += ["matched_num_labels=2", "held_out=[]", "end_to_end_num_labels=2,3", "losses=bce,reg"]
    words += ["recipe=queue=16", "epochs=2"]
    results = tmp_path / "results"
    given = [part for word in words for part in ("-p", word)]
    said = mlcl(
        "run",
        "02_label_space",
        "--preset",
        "smoke",
        "--results",
        str(results),
        *given,
        cache=tmp_path / "cache",
    )
    assert "0 failed" in said
    (manifest,) = results.glob("02_label_space/*/manifest.json")
    assert json.loads(manifest.read_text())["parameters"]["recipe"] == {"queue": 16}


def test_what_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for word, message in (
        ("encoders=resnet5O", "did you mean 'resnet50'"),
        ("recipe=batch=8", "did you mean 'batch_size'"),
        ("recipe=ema=1.5", "ema must be a number of at least 0 and below 1, was 1.5"),
        ("recipe=augment=lots", "augment must be one of none, crop, strong, was 'lots'"),
        ("recipe=ema", "should be settings such as batch_size=64"),
        ("devices=0", "parameter 'devices'"),
    ):
        command = [str(Path(sys.executable).with_name("mlcl")), "run", "02_label_space", "-p", word]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert len(done.stderr.strip().splitlines()) <= 2
