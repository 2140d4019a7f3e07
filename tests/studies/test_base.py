"""Parameters, presets and results folder of a study."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import CHECKOUT
from tests.data.readers.conftest import write_coco

STUDY = studies.get("02_label_space")


def resolve(**given: Any) -> Any:
    return STUDY.resolve({"preset": "smoke", **given})


class TestTypes:
    @pytest.mark.parametrize(
        "given", ["[10,30]", "[10, 30]", "10,30", " [10,30] ", [10, 30], (10, 30), ["10", "30"]]
    )
    def test_list_of_counts(self, given: Any) -> None:
        assert resolve(num_labels=given).num_labels == (10, 30)

    @pytest.mark.parametrize(
        "given", ["bce,reg", "[bce,reg]", "['bce','reg']", '["bce", "reg"]', "bce, reg", ["bce", "reg"]]
    )
    def test_list_of_names(self, given: Any) -> None:
        assert resolve(losses=given).losses == ("bce", "reg")

    def test_one_bare_value_is_a_list_of_one(self) -> None:
        assert resolve(num_labels=10).num_labels == (10,)
        assert resolve(num_labels="10").num_labels == (10,)
        assert resolve(train_fractions="0.5").train_fractions == (0.5,)
        assert resolve(losses="bce").losses == ("bce",)

    def test_a_list_that_may_be_empty(self) -> None:
        assert resolve(held_out="[]").held_out == resolve(held_out=[]).held_out == ()
        assert resolve(held_out="noto").held_out == ("noto",)

    def test_numbers_from_words(self) -> None:
        parameters = resolve(temperature="0.1", replicates="3", seed="7")
        assert (parameters.temperature, parameters.replicates, parameters.seed) == (0.1, 3, 7)

    @pytest.mark.parametrize("nothing", [None, "None", "none", "null"])
    def test_none_is_the_presets_value(self, nothing: Any) -> None:
        assert resolve(num_labels=nothing, preset="quick") == STUDY.resolve({"preset": "quick"})

    def test_quick_is_the_default(self) -> None:
        assert STUDY.resolve({}).preset == "quick"
        assert STUDY.resolve({"preset": None}).preset == "quick"

    def test_paths_are_taken_from_the_checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert resolve().results == CHECKOUT / "results"
        assert resolve(results="elsewhere/new").results == CHECKOUT / "elsewhere" / "new"
        assert resolve(results=str(tmp_path / "new")).results == tmp_path / "new"
        assert STUDY.notebook == CHECKOUT / "notebooks" / "02_label_space.ipynb"


REFUSED = [
    ({"num_lables": [10]}, "unknown parameter 'num_lables'; did you mean 'num_labels'?"),
    ({"num_labels": [0]}, "'num_labels': 0 "),
    ({"num_labels": "[0]"}, "'num_labels': 0 "),
    ({"num_labels": "[10,ten]"}, "'num_labels': 'ten' "),
    ({"num_labels": "[10,10]"}, "10 twice"),
    ({"num_labels": "[10"}, "'num_labels': '[10' "),
    ({"num_labels": [2.5]}, "'num_labels': 2.5 "),
    ({"num_labels": [True]}, "'num_labels': True "),
    ({"num_labels": {"a": 1}}, "'num_labels': {'a': 1} "),
    ({"num_labels": "[]"}, "'num_labels'"),
    ({"num_labels": ""}, "'num_labels'"),
    ({"temperature": -1}, "'temperature': -1 "),
    ({"temperature": "-1"}, "'temperature': '-1' "),
    ({"temperature": "warm"}, "'temperature': 'warm' "),
    ({"temperature": "nan"}, "'temperature': 'nan' "),
    ({"temperature": "inf"}, "'temperature': 'inf' "),
    ({"temperature": "true"}, "'temperature': 'true' "),
    ({"train_fractions": "[0.5,1.5]"}, "'train_fractions': 1.5 "),
    ({"train_fractions": [0]}, "'train_fractions': 0 "),
    ({"replicates": -3}, "'replicates': -3 "),
    ({"replicates": "two"}, "'replicates': 'two' "),
    ({"replicates": True}, "'replicates': True "),
    ({"epochs": 0}, "'epochs': 0 "),
    ({"workers": 0}, "'workers': 0 "),
    ({"seed": -1}, "'seed': -1 "),
    ({"preset": "fats"}, "unknown preset 'fats'; "),
    ({"preset": "quik"}, "unknown preset 'quik'; did you mean 'quick'?"),
    ({"preset": ["quick"]}, "unknown preset '["),
    ({"losses": ["regg"]}, "unknown loss 'regg'; did you mean 'reg'?"),
    ({"losses": "[bce,regg]"}, "unknown loss 'regg'; did you mean 'reg'?"),
    ({"losses": [1]}, "'losses': 1 "),
    ({"encoders": "bagg"}, "unknown encoder 'bagg'; did you mean 'bag'?"),
    ({"encoders": "[]"}, "'encoders'"),
    ({"held_out": "nato"}, "unknown drawing family 'nato'; did you mean 'noto'?"),
    ({"datasets": "debtag"}, "unknown data set 'debtag'; did you mean 'debtags'?"),
    ({"device": "tpu9"}, "unknown device 'tpu9'; "),
    ({"engine": "rai"}, "unknown engine 'rai'; "),
    ({"data_root": "/nowhere/at/all"}, "/nowhere/at/all"),
    ({"results": 5}, "'results': 5 "),
    ({"temperature": "a\nb"}, "'temperature': 'a\\nb' "),
]


class TestRefusals:
    @pytest.mark.parametrize(("given", "said"), REFUSED, ids=[str(given) for given, _ in REFUSED])
    def test_one_line_that_names_the_word(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError) as refusal:
            resolve(**given)
        message = str(refusal.value)
        assert said in message
        assert len(message.splitlines()) == 1

    def test_results_that_are_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        for path in (tmp_path / "taken", tmp_path / "taken" / "below"):
            with pytest.raises(UsageError, match="taken' is not a folder"):
                resolve(results=str(path))
        (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
        with pytest.raises(UsageError, match="dangling' is not a folder"):
            resolve(results=str(tmp_path / "dangling"))

    def test_a_long_value_is_shortened(self) -> None:
        with pytest.raises(UsageError) as refusal:
            resolve(temperature="x" * 5000)
        assert len(str(refusal.value)) < 200


class TestFolder:
    def test_preset_alone(self, tmp_path: Path) -> None:
        assert STUDY.folder(resolve(results=tmp_path)) == tmp_path / "02_label_space" / "smoke"

    def test_what_changes_no_result_changes_no_folder(self, tmp_path: Path) -> None:
        same = resolve(results=tmp_path, workers=3, data_root=tmp_path, engine="local")
        assert STUDY.folder(same) == tmp_path / "02_label_space" / "smoke"

    def test_the_presets_own_values_given_again(self, tmp_path: Path) -> None:
        usual = resolve()
        assert (
            STUDY.folder(resolve(results=tmp_path, epochs=usual.epochs, losses=usual.losses)).name == "smoke"
        )

    def test_each_change_has_a_folder_of_its_own(self, tmp_path: Path) -> None:
        changes: list[dict[str, Any]] = [
            {},
            {"epochs": 991},
            {"epochs": 992},
            {"seed": 5},
            {"replicates": 9},
            {"temperature": 0.7},
            {"losses": "bce"},
            {"device": "cpu"},
            {"seed": 5, "epochs": 991},
        ]
        folders = [STUDY.folder(resolve(results=tmp_path, **change)).name for change in changes]
        assert len(set(folders)) == len(changes)
        assert all(len(folder) == len("smoke-") + 8 for folder in folders[1:])
        assert folders == [STUDY.folder(resolve(results=tmp_path, **change)).name for change in changes]


@pytest.mark.parametrize("name", studies.names())
class TestEveryStudy:
    def test_presets_resolve(self, name: str) -> None:
        study = studies.get(name)
        assert study.name == name
        assert {"smoke", "quick", "standard"} <= set(study.presets)
        for preset in study.presets:
            if preset != "paper":
                assert study.resolve({"preset": preset}).preset == preset

    def test_the_paper_preset_is_of_sets_that_a_user_brings(self, name: str, tmp_path: Path) -> None:
        study = studies.get(name)
        if "paper" not in study.presets:
            return
        with pytest.raises(UsageError, match="data set 'coco' needs data_root"):
            study.resolve({"preset": "paper"})
        assert study.deviations
        write_coco(tmp_path / "coco", train=80, validation=20)
        given = {"preset": "paper", "datasets": "coco", "data_root": tmp_path, "num_labels": 2}
        if name == "02_label_space":
            given |= {"matched_num_labels": 2, "end_to_end_num_labels": 2}
        parameters = study.resolve(given)
        assert study.folder(parameters).name.startswith("paper-")  # other sets than the preset's
        assert not study.up_to_date(parameters)
        own = study.resolve(given | {"recipe": "accumulate=4"}).recipe
        assert own == {**study.presets["paper"]["recipe"], "accumulate": 4}
        if name == "01_missing_labels":
            slow = study.runs(study.resolve(given | {"learning_rate": 5e-6}))
            rates = {config.recipe.learning_rate for config in slow if config.recipe and config.recipe.epochs}
            assert rates == {5e-6}
        trained = [config for config in study.runs(parameters) if config.recipe and config.recipe.epochs]
        assert {config.encoder for config in trained} == {"resnet101@448"}
        assert {config.recipe.ema for config in trained} == {0.9997}
        assert {config.recipe.batch_size for config in trained} <= {64, 128}

    def test_parameters_are_described(self, name: str) -> None:
        for field, info in studies.get(name).Parameters.model_fields.items():
            assert info.description, field


def test_unknown_study_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown study '02_label_spice'; did you mean '02_label_space'"):
        studies.get("02_label_spice")


def test_parameters_are_checked_without_torch_or_pandas() -> None:
    code = (
        "import sys; from mlcl_utils import studies\n"
        "for name in studies.names(): studies.get(name).resolve({'preset': 'smoke'})\n"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_start_prints_the_resolved_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execution = studies.start(
        "02_label_space", preset="smoke", results=str(tmp_path), temperature="0.25", losses=None
    )
    printed = capsys.readouterr().out
    assert execution.parameters.temperature == 0.25
    assert execution.folder.is_dir()
    assert "0.25  (given)" in printed
    for name in STUDY.Parameters.model_fields:
        assert name in printed


def test_results_follow_the_weights_of_an_encoder(tmp_path: Path) -> None:
    study = studies.get("06_kernel_mixture")
    weights = tmp_path / "w.pth"
    given = {"preset": "smoke", "encoder": f"resnet18:{weights}", "results": tmp_path}
    digests = []
    for content in (b"one", b"other"):
        weights.write_bytes(content)
        digests.append(study.digest(study.resolve(given)))
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "06_kernel_mixture",
            {"datasets": "debtags", "encoder": "resnet18:random"},
            "cannot read debtags, which holds",
        ),
        ("02_label_space", {"datasets": "debtags", "encoders": "cnn"}, "encoder 'cnn' cannot read debtags"),
        ("02_label_space", {"encoders": "resnet18@0:random"}, "its size must be at least 1"),
        ("05_hyperband", {"recipe": "learning_rate=0.001"}, "'learning_rate' is searched for reg"),
        ("02_label_space", {"devices": 2, "device": "cuda"}, "cuda"),
    ],
)
def test_what_cannot_be_trained_is_refused(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        studies.get(name).resolve(given)


def test_a_recipe_is_that_of_every_run_of_a_search() -> None:
    study = studies.get("05_hyperband")
    plain, other = (
        study.runs(study.resolve({"preset": "smoke", **given})) for given in ({}, {"recipe": "warm_up=0.2"})
    )
    assert {config.recipe.warm_up for config in other} == {0.2}
    drawn = [[config.recipe.learning_rate for config in runs] for runs in (plain, other)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 10
