"""The file of published claims."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlcl_utils.errors import DataError
from mlcl_utils.studies import published

CLAIM = """
[[claims]]
id = "one"
statement = "A is ahead."
otherwise = "A is not ahead."
advice = "Take A."
source = "Somebody, Something"
where = "abstract"
study = "02_label_space"
contrast = "A minus B"
metric = "map"
datasets = ["debtags"]
num_labels = [10]
test = "superiority"
margin = 0.5
setting = "same"
"""


def written(folder, text):
    path = folder / "claims.toml"
    path.write_text(text)
    return path


class TestFile:
    def test_every_claim_of_the_specification_is_there(self) -> None:
        by_study: dict[str, int] = {}
        for claim in published.load():
            by_study[claim.study] = by_study.get(claim.study, 0) + 1
        assert by_study == {
            "02_label_space": 12,
            "01_missing_labels": 1,
            "06_kernel_mixture": 2,
            "04_temperature": 5,
            "05_hyperband": 4,
        }
        margins = {"map": 0.5, "macro_f1_per_label": 1.0, "macro_f1_half": 1.0, "ranking_loss": 0.2}
        assert all(claim.margin == margins.get(claim.metric, claim.margin) for claim in published.load())
        assert [
            claim.id for claim in published.load() if "best" in claim.contrast and not claim.best_of
        ] == []

    def test_the_central_claims_are_made_in_both_readings(self) -> None:
        by_id = {claim.id: claim for claim in published.load()}
        for name in ("many_labels", "few_labels", "lead_grows"):
            equal, source = by_id[name], by_id[f"{name}_source"]
            assert (equal.reading, equal.metric) == ("equal", "macro_f1_per_label")
            assert (source.reading, source.metric) == ("source", "macro_f1_half")
            assert (equal.contrast, equal.margin, equal.datasets) == (
                source.contrast,
                source.margin,
                source.datasets,
            )

    def test_the_hash_is_of_the_claims_of_one_study(self, tmp_path) -> None:
        def digests(text: str) -> list[str]:
            published.load.cache_clear()
            path = written(tmp_path, text)
            return [published.digest(study, path) for study in ("02_label_space", "04_temperature")]

        other = CLAIM.replace('"one"', '"two"').replace("02_label_space", "04_temperature")
        before = digests(CLAIM + other)
        assert len(set(before)) == 2
        assert digests(f"# a comment\n{CLAIM}{other}") == before
        assert digests(CLAIM.replace("Take A.", "Try A first.") + other) == before
        changed = digests(CLAIM.replace("0.5", "0.4") + other)
        assert changed[0] != before[0]
        assert changed[1] == before[1]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (('id = "one"', 'id = "One claim"'), "claims.0.id"),
            (("margin = 0.5", "margin = -1"), "claims.0.margin"),
            (("margin = 0.5", "margin = nan"), "claims.0.margin"),
            (("margin = 0.5", ""), "claims.0.margin"),
            (('test = "superiority"', 'test = "equality"'), "claims.0.test"),
            (('setting = "same"', 'setting = "changed"'), "'changes'"),
            (('setting = "same"', 'setting = "same"\nchange = "x"'), "claims.0.change"),
            (('["debtags"]', '["debtag"]'), "did you mean 'debtags'"),
            (('["debtags"]', "[]"), "claims.0.datasets"),
            (('num_labels = [10]', 'num_labels = "most"'), "claims.0.num_labels"),
            (('margin = 0.5', 'margin = 0.5\nreading = "probe"'), "claims.0.reading"),
            (("[[claims]]", "[[claim]]"), "claim"),
            (("[[claims]]", "[[claims"), "cannot be read"),
        ],
    )  # fmt: skip
    def test_a_claim_that_is_not_whole_is_refused_in_one_line(self, tmp_path, change, said) -> None:
        assert published.load(written(tmp_path, CLAIM))[0].margin == 0.5
        published.load.cache_clear()
        with pytest.raises(DataError) as refusal:
            published.load(written(tmp_path, CLAIM.replace(*change)))
        assert said in str(refusal.value)
        assert "\n" not in str(refusal.value)

    def test_two_claims_of_one_id_and_a_missing_file_are_refused(self, tmp_path) -> None:
        with pytest.raises(DataError, match="two claims have the id 'one'"):
            published.load(written(tmp_path, CLAIM + CLAIM))
        with pytest.raises(DataError, match=r"nowhere\.toml"):
            published.load(tmp_path / "nowhere.toml")

    def test_reading_it_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from mlcl_utils.studies import published; published.load();"
            " print({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"
