"""The study of images versus text: its grid, rank correlations with their ceiling, and leads in both modalities."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import scores, sentences, tuning
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.vision_text import Pair, measures, views
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("03_vision_text")
LOSSES = ("bce", "asl", "cosine_bce", "prototype", "msc", "reg")
PAIR = Pair("debtags", "emoji")


def test_both_tasks_of_every_pair_have_every_arm():
    configs = STUDY.grid(STUDY.resolve({"preset": "quick", "datasets": "emoji,debtags,fashion-scenes"}))
    assert len({config.id for config in configs}) == len(configs)
    sides = {(config.dataset, config.matched_to, config.num_labels) for config in configs}
    assert sides == {
        ("debtags", "emoji", 30),
        ("emoji", "debtags", 30),
        ("debtags", "fashion-scenes", 10),
        ("fashion-scenes", "debtags", 10),
    }
    losses = set(STUDY.resolve({"preset": "quick"}).losses)
    for own in sides:
        found = {c.loss for c in configs if (c.dataset, c.matched_to, c.num_labels) == own}
        assert found - set(BASELINES) == losses
        assert {"logistic_regression", "random_encoder", "prior"} <= found


def test_trials_are_those_of_the_label_space_study():
    here = STUDY.grid(STUDY.resolve({"preset": "standard"}))
    there = studies.get("02_label_space")
    theirs = there.resolve({"preset": "standard"})
    shared = set(STUDY.resolve({"preset": "standard"}).losses) & set(theirs.losses)
    own = tuning.trials([config for config in here if config.loss in shared], 8)
    tasks = {tuning.task(config) for config in own}
    same = [config for config in there.grid(theirs) if config.replicate < 2 and tuning.task(config) in tasks]
    others = {config.id for config in tuning.trials(same, 8)}
    assert len(own) == 2 * 2 * 8 * len(shared)  # modalities, splits, trials
    assert {config.id for config in own} <= others


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"datasets": "debtags"}, "name a set of texts and a set of images"),
        ({"datasets": "emoji,fashion-scenes"}, "name a set of texts and a set of images"),
        ({"losses": "bce,reg"}, "at least three"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_correlations_by_hand():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10, 4))  # five losses in two modalities, four replicates
    text, image = values[:5], values[5:]
    between, within = [], []
    for half in itertools.combinations(range(4), 2):
        rest = [at for at in range(4) if at not in half]
        between.append(spearmanr(text[:, half].mean(axis=1), image[:, rest].mean(axis=1)).statistic)
        within.append(spearmanr(text[:, half].mean(axis=1), text[:, rest].mean(axis=1)).statistic)
    both = np.stack([values, rng.normal(size=values.shape)], axis=2)  # columns don't meddle with each other
    assert measures.between(both)[0] == pytest.approx(np.mean(between))
    assert measures.within(both, 0)[0] == pytest.approx(np.mean(within))
    assert measures.between(both[:, :1])[0] == pytest.approx(spearmanr(text[:, 0], image[:, 0]).statistic)
    assert np.isnan(measures.within(both[:, :1], 1)).all()
    # an odd number of replicates: halves of one and two
    assert [len(half) for half, _ in measures._halves(3)] == [1, 1, 1]
    assert all(sorted(one + other) == [0, 1, 2] for one, other in measures._halves(3))


def test_equally_noisy_orders_reach_the_ceiling():
    """Where both modalities have one true order, the correlation between them is the ceiling, however noisy."""
    rng = np.random.default_rng(1)
    truth = np.linspace(0, 1, 8)
    values = np.concatenate([truth, truth])[:, np.newaxis, np.newaxis] + rng.normal(0, 0.5, (16, 4, 300))
    between = measures.between(values).mean()
    ceiling = np.mean([measures.within(values, side) for side in (0, 1)])
    assert ceiling < 0.9  # noisy enough that the naive expectation of 1 would mislead
    assert between == pytest.approx(ceiling, abs=0.04)


def execution(folder, text, image, *, noise=0.001, replicates=5, baseline=0.1) -> Execution:
    """Scores of the losses on both sides; the validation score is that of the test."""
    rng, runs = np.random.default_rng(3), []
    for (dataset, other), values in ((PAIR, text), (PAIR[::-1], image)):
        for replicate in range(replicates):
            split = 0.02 * replicate  # what all losses share
            for loss in (*LOSSES, "logistic_regression", "random_encoder"):
                config = RunConfig(
                    dataset=dataset,
                    matched_to=other,
                    num_labels=10,
                    base_labels=10,
                    replicate=replicate,
                    loss=loss,
                    seed=replicate,
                    recipe=None if loss in BASELINES else Recipe(epochs=1),
                )
                value = baseline if loss in BASELINES else values[LOSSES.index(loss)]
                value += split + noise * float(rng.normal())
                metrics = {"probe_map": value, "probe_macro_f1": value, "probe_ranking_loss": 1 - value}
                runs.append(made.run(folder, config, {**metrics, "probe_validation_map": value}))
    return made.execution(STUDY, STUDY.resolve({"preset": "smoke"}), folder, runs)


def orders(study: Execution) -> pd.DataFrame:
    """The saved table of correlations."""
    views.correlations_table(study)
    table = pd.read_csv(study.folder / "tables" / "correlations.csv", dtype={"left_out": str, "lost": str})
    return table.fillna({"left_out": "", "lost": ""})


def leads(study: Execution) -> pd.DataFrame:
    """The saved table of leads."""
    views.leads_table(study)
    return pd.read_csv(study.folder / "tables" / "leads.csv")


UP = (0.50, 0.51, 0.52, 0.53, 0.54, 0.55)
DOWN = UP[::-1]


def test_an_order_that_is_the_same_carries_over(tmp_path):
    study = execution(tmp_path, UP, UP)
    found = orders(study)
    assert len(found) == 6  # three metrics, two ways to read
    assert set(found["verdict"]) == {"carries over"}
    assert found["between_estimate"].tolist() == pytest.approx([1.0] * 6)
    assert (found["between_upper"] <= 1).all()
    rows = leads(study)
    best, others = rows[:3], rows[3:]
    assert best["loss"].tolist() == ["REG − Cosine BCE"] * 3
    assert best["text_estimate"].tolist() == pytest.approx([0.03] * 3, abs=0.002)
    assert (best["image_lower"] > 0).all()  # ranking loss included, where lower is better
    assert len(others) == 3 * 5
    assert set(others["agreement"]) == {"same direction"}


def test_an_order_that_is_reversed_does_not_carry_over(tmp_path):
    study = execution(tmp_path, UP, DOWN)
    assert set(orders(study)["verdict"]) == {"does not carry over"}
    rows = leads(study)
    assert set(rows[3:]["agreement"]) == {"opposite directions"}
    assert rows["loss"][0] == "REG − Cosine BCE / Prototype − BCE"  # chosen in each modality


def test_noise_alone_has_no_order(tmp_path):
    found = orders(execution(tmp_path, (0.5,) * 6, (0.5,) * 6, noise=0.02))
    assert set(found["verdict"]) == {"cannot be told"}
    bounds = found[[f"{name}_{end}" for name in list(measures.ORDERS)[:3] for end in ("lower", "upper")]]
    assert bounds.abs().max(axis=None) == 1  # an interval ends where a correlation does


def test_a_part_of_the_order_carries_over_in_part(tmp_path):
    image = (0.50, 0.52, 0.51, 0.55, 0.53, 0.54)
    found = orders(execution(tmp_path, UP, image, noise=0.0002)).query("head == 'probe'")
    assert set(found["verdict"]) == {"carries over in part"}
    assert found["between_estimate"].iloc[0] == pytest.approx(spearmanr(UP, image).statistic, abs=0.05)


def test_one_replicate_has_no_ceiling(tmp_path):
    found = orders(execution(tmp_path, UP, UP, replicates=1))
    assert set(found["verdict"]) == {"cannot be told"}
    assert found[["within texts_estimate", "shortfall_estimate"]].isna().all(axis=None)
    assert found["between_estimate"].notna().all()


def test_losses_below_the_untrained_encoder_are_left_out_of_the_order(tmp_path, capsys):
    found = orders(execution(tmp_path, UP, UP, baseline=0.515))
    assert set(found["left_out"]) == {"bce asl"}
    assert set(found["losses"]) == {"cosine_bce reg msc prototype"}
    study = execution(tmp_path / "none", UP, UP, baseline=0.545)
    assert views.correlations_table(study) is None
    assert "no three losses" in capsys.readouterr().out
    assert not (study.folder / "tables" / "correlations.csv").exists()
    assert views.headline(study.folder)[0].head.startswith("Too few losses")


def test_a_loss_that_lost_a_replicate_is_compared_with_none(tmp_path):
    study = execution(tmp_path, UP, UP)
    arm = next(arm for arm in study.arms if arm.loss == "msc" and arm.dataset == PAIR.image)
    study.trained.grid.failures.append((study.arms[arm].pop(0).config, "diverged", 1.0))
    found = orders(study)
    assert len(found) == 6
    assert set(found["lost"]) == {"msc"}
    assert set(found["losses"]) == {"bce asl cosine_bce reg prototype"}
    rows = leads(study)
    own = rows[rows["loss"] == "msc"]
    assert own["text_estimate"].notna().all()
    assert own["image_estimate"].isna().all()
    assert set(own["reason"]) == {"runs have failed: MSC"}
    # nor is it known which would have been the best contrastive loss on images
    assert rows["image_estimate"][:3].isna().all()
    assert rows["loss"][0] == "REG − Cosine BCE"
    shown = views.leads_table(study)
    assert shown.xs("MSC", level="lead")["on images"].tolist() == ["–"] * 3


def test_a_loss_of_which_all_runs_have_failed_is_named(tmp_path):
    study = execution(tmp_path, UP, UP)
    for arm in [arm for arm in study.arms if arm.loss == "msc"]:
        failed = study.arms.pop(arm)
        study.trained.grid.failures.extend((run.config, "diverged", 1.0) for run in failed)
    found = orders(study)
    assert set(found["lost"]) == {"msc"}
    assert "msc" not in leads(study)["loss"].tolist()


def test_the_headline_follows_the_table(tmp_path):
    study = execution(tmp_path, UP, DOWN, baseline=0.505)
    table = orders(study).query("head == 'probe' and metric == 'map'").iloc[0]
    said = "".join(line.head + line.text for line in views.headline(study.folder))
    assert f"The order of {len(table['losses'].split())} losses (of 6) by mAP does not carry over" in said
    numbers = [table[f"between_{each}"] for each in ("estimate", "lower", "upper")]
    assert sentences.bounded(*numbers, "+.2f") in said


def test_figures_are_drawn_from_their_frames(tmp_path):
    study = execution(tmp_path, UP, DOWN)
    views.carry_over(study)
    views.correlations(study)
    saved = pd.read_csv(study.folder / "figures" / "carry_over.leads.csv")
    assert set(saved["loss"]) == set(LOSSES) - {"bce"}
    figure = views.FIGURES["carry_over"]({"leads": saved}, "icml")
    assert len(figure.axes) == 3
    drawn = pd.read_csv(study.folder / "figures" / "correlations.correlations.csv")
    assert set(drawn["compared"]) == set(views.COMPARED)
    assert drawn["metric"].unique().tolist() == list(measures.METRICS)


def test_the_summary_names_arms_below_the_untrained_encoder(tmp_path):
    (line,) = sentences.summary(execution(tmp_path, UP, UP, baseline=0.515)).data.splitlines()
    assert scores.UNTRAINED in line
    assert "BCE" in line
