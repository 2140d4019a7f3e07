"""Configurations that a search has found, as a parameter of studies."""

from __future__ import annotations

import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError

STUDY = studies.get("02_label_space")
GIVEN = {"preset": "smoke", "losses": ["bce", "reg"]}
FOUND = """# Hyperband: the best of 65 evaluations
loss = "reg"
encoder = "frozen"

[values]
learning_rate = 0.004
batch_size = 128
temperature = 0.07
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "best.toml"
    path.write_text(FOUND)
    return path


def test_the_values_take_the_place_of_the_defaults(file):
    plain = STUDY.runs(STUDY.resolve(GIVEN))
    found = STUDY.runs(STUDY.resolve({**GIVEN, "config": str(file)}))
    assert len(plain) == len(found)
    for before, after in zip(plain, found, strict=True):
        if before.loss == "reg" and before.encoder == "frozen":
            assert after == before.with_values(
                {"learning_rate": 0.004, "batch_size": 128, "temperature": 0.07}
            )
            assert (after.recipe.learning_rate, after.recipe.batch_size) == (0.004, 128)
            assert after.hyperparameters == {"temperature": 0.07}
            assert after.id != before.id
        else:
            assert after == before
    assert {config.encoder for config in plain if config.loss == "reg"} == {"frozen", "bag"}


def test_what_counts_is_what_stands_in_the_file(file, tmp_path):
    other = tmp_path / "elsewhere.toml"
    other.write_text(FOUND.replace("# Hyperband: the best of 65 evaluations", ""))
    first, second = (STUDY.resolve({**GIVEN, "config": str(path)}) for path in (file, other))
    assert STUDY.digest(first) == STUDY.digest(second) != STUDY.digest(STUDY.resolve(GIVEN))
    assert STUDY.folder(first) == STUDY.folder(second) != STUDY.folder(STUDY.resolve(GIVEN))
    # as it goes on to the kernel: no file, but what stood in it
    assert STUDY.resolve({**GIVEN, "config": first.model_dump(mode="json")["config"]}) == first


def test_several_files_one_for_each_loss(file, tmp_path):
    other = tmp_path / "bce.toml"
    other.write_text('loss = "bce"\nencoder = "bag"\n[values]\nwidth = 64\n')
    found = STUDY.runs(STUDY.resolve({**GIVEN, "config": f"{file},{other}"}))
    assert {config.recipe.width for config in found if config.loss == "bce" and config.encoder == "bag"} == {
        64
    }
    assert {
        config.recipe.learning_rate for config in found if (config.loss, config.encoder) == ("reg", "frozen")
    } == {0.004}
    with pytest.raises(UsageError, match="two files for loss 'reg'"):
        STUDY.resolve({**GIVEN, "config": [str(file), str(file)]})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("temperature = 0.07", "temperature = -1", "of reg: temperature must be a number above 0, was -1"),
        ("temperature", "temprature", "did you mean 'temperature'?"),
        ('loss = "reg"', 'loss = "regg"', "unknown loss 'regg'; did you mean 'reg'?"),
        ('loss = "reg"', 'loss = "msc"', "config is of loss 'msc', which is not among the losses"),
        ('loss = "reg"', "", "parameter 'config': 'loss' is missing"),
        ('encoder = "frozen"', 'encoder = "forzen"', "did you mean 'frozen'?"),
        ("[values]", "[valeus]", "'config'"),
        ("[values]", "[values", "cannot be read"),
    ],
)
def test_what_is_refused(file, before, after, said):
    assert before in FOUND
    file.write_text(FOUND.replace(before, after, 1))
    with pytest.raises(UsageError) as refusal:
        STUDY.resolve({**GIVEN, "config": str(file)})
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
