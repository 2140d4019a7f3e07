"""The phase diagram of the label-space study: which runs it takes, and what it makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import studies
from mlcl_utils.runs import Grid, Run
from mlcl_utils.studies.execution import Execution, begin
from mlcl_utils.studies.label_space import LONGER, made
from mlcl_utils.studies.label_space.measures import READ, WithWorlds, phases
from mlcl_utils.studies.label_space.views import draw_phases, phase_diagram, phase_table
from mlcl_utils.studies.runs import train_grid
from tests.studies.losing import Kept

STUDY = studies.get("02_label_space")
GIVEN = {"preset": "smoke", "worlds": 3, "made_num_labels": [10, 20]}


@pytest.fixture(scope="module")
def parameters():
    return STUDY.resolve(GIVEN)


def test_every_cell_has_every_loss_in_every_world_and_bce_for_longer(parameters) -> None:
    trainings = made(parameters)
    cells = {each.cell for each in trainings}
    assert len(cells) == 2 * 2 * 2
    assert len(trainings) == len({each.config.id for each in trainings}) == 3 * len(cells) * 4
    for each in trainings:
        usual = next(other for other in trainings if other.loss == "reg").config.recipe.epochs
        assert each.config.recipe.epochs == usual * (LONGER if each.longer else 1)
        assert each.config.dataset.startswith(f"generator:labels={each.cell.num_labels}:")
        assert each.config.num_labels <= each.cell.num_labels
    assert made(STUDY.resolve({"preset": "quick"})) == []


def test_from_runs_to_the_figure(tmp_path: Path) -> None:
    """One world of the smallest size, trained."""
    given = {**GIVEN, "worlds": 1, "made_num_labels": [10], "workers": 1, "results": str(tmp_path)}
    study = begin(STUDY, given)
    asked = [each.config for each in made(study.parameters)]
    study.trained = WithWorlds(Grid([], [], 0), worlds=train_grid(study.parameters, asked))
    assert len(study.trained.parts["made"].runs) == len(asked) == 16
    rows = phases(study)
    assert len(rows) == 4 * 2 * len(READ)
    assert np.isfinite(rows["estimate"]).all()
    assert phase_diagram(study) is not None
    assert phase_table(study).shape == (8, len(READ))
    assert (study.folder / "figures" / "phases.pdf").is_file()
    assert (study.folder / "tables" / "phases.csv").is_file()


def test_leads_are_differences_of_what_each_reading_reads(parameters, tmp_path: Path) -> None:
    """Metrics are made up: of world w, x + w, where x says what was read of which loss."""
    base = {
        ("bce", False): {
            "own_macro_f1_half": 0.1,
            "direct_macro_f1_per_label": 0.2,
            "probe_macro_f1_per_label": 0.3,
        },
        ("bce", True): {"own_macro_f1_half": 0.15},
        ("reg", False): {"linear_macro_f1_half": 0.25, "probe_macro_f1_per_label": 0.28},
        ("msc", False): {"linear_macro_f1_half": 0.25, "probe_macro_f1_per_label": 0.28},
    }
    spread = np.array([0.0, 0.1, 0.2])

    def run(each) -> Run:
        own = base[each.loss, each.longer]
        lead = spread[each.config.seed] if each.loss == "reg" else 0.0
        return Kept(each.config, {name: value + lead for name, value in own.items()}, {}, {}, [], {}, Path())

    study = Execution(STUDY, parameters, tmp_path)
    trainings = made(parameters)
    # one training of MSC has failed: its world has no pair
    lost = next(each for each in trainings if each.loss == "msc").config.id
    runs = [run(each) for each in trainings if each.config.id != lost]
    study.trained = WithWorlds(Grid([], [], 0), worlds=Grid(runs, [], 0))
    rows = phases(study)
    assert set(rows["reading"]) == set(READ)
    reg = rows[rows["loss"] == "reg"].groupby("reading")["estimate"].unique()
    for reading, lead in zip(READ, (25, 20, 18, 8), strict=True):
        assert reg[reading] == pytest.approx([lead], abs=1e-9)
    # independent worlds: a plain t interval, with nothing for overlap
    half = 4.302652729911275 * 10 / np.sqrt(3)
    widths = (rows["upper"] - rows["lower"])[rows["loss"] == "reg"] / 2
    assert widths.to_numpy() == pytest.approx(half, rel=1e-9)
    assert sorted(rows.loc[rows["loss"] == "msc", "replicates"].unique()) == [2, 3]
    figure = draw_phases({"cells": rows[rows["loss"] == "reg"]}, "acl")
    assert [ax.get_title().replace("\n", " ") for ax in figure.axes] == list(READ)
