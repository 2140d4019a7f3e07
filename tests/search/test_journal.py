"""The journal: a search that is killed, wherever that is, goes on where it was and ends as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlcl_utils import search
from mlcl_utils.errors import DataError, UsageError
from tests.search import toys


class Process:
    """A search in a process of its own, which stops at each evaluation until it is told to go on."""

    def __init__(self, method: str, journal: Path, *more: str) -> None:
        root = Path(__file__).parents[2]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.search.toys", method, str(journal), *more],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def evaluate(self, count: int | None = None) -> tuple[int, str]:
        """Lets it begin at most ``count`` evaluations; how many it began, and its last line if it ended."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        began = 0
        for line in self.popen.stdout:
            if line != "evaluating\n":
                return began, line
            began += 1
            if began == count:
                break
            self.popen.stdin.write("\n")
            self.popen.stdin.flush()
        return began, ""

    def kill(self) -> None:
        self.popen.kill()
        assert self.wait() == -signal.SIGKILL

    def wait(self) -> int:
        with self.popen:
            return self.popen.wait()


def trials(journal: Path) -> list[tuple[object, ...]]:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [
        (e["trial"], e["bracket"], e["config"], e["resource"], e["trained"], e["score"]) for e in lines[1:]
    ]


@pytest.mark.parametrize("method", search.METHODS)
def test_a_search_killed_three_times_is_the_undisturbed_one(tmp_path, method):
    undisturbed = Process(method, tmp_path / "whole.jsonl")
    total, best = undisturbed.evaluate()
    assert undisturbed.wait() == 0
    assert best.startswith("best ")

    journal = tmp_path / "killed.jsonl"
    made = 0
    for count in (3, 4, 2):
        process = Process(method, journal)
        began, _ = process.evaluate(count)
        assert began == count
        process.kill()  # in the middle of an evaluation
        made += count - 1
        assert len(trials(journal)) == made
    last = Process(method, journal)
    began, again = last.evaluate()
    assert last.wait() == 0
    assert began == total - made  # nothing that was finished is made again
    assert again == best
    assert trials(journal) == trials(tmp_path / "whole.jsonl")


@pytest.mark.parametrize("method", ["hyperband", "asha"])
def test_a_kill_in_the_middle_of_a_line_is_survived(tmp_path, method):
    undisturbed = Process(method, tmp_path / "whole.jsonl")
    total, best = undisturbed.evaluate()
    assert undisturbed.wait() == 0

    journal = tmp_path / "torn.jsonl"
    for lines in ("0", "5", "4"):  # the first leaves no more than a part of the first line
        process = Process(method, journal, lines)
        process.evaluate()
        assert process.wait() == -signal.SIGKILL
        assert not journal.read_bytes().endswith(b"\n")
    assert journal.read_bytes().count(b"\n") == 9
    last = Process(method, journal)
    assert last.evaluate() == (total - 8, best)
    assert last.wait() == 0
    assert trials(journal) == trials(tmp_path / "whole.jsonl")


def run(journal, *, seed=0, R=9, eta=3, space=toys.SPACE, evaluate=toys.evaluate, **settings):
    return search.hyperband(R, eta, space.sampler(seed), evaluate, journal=journal, **settings)


def test_a_finished_search_is_read_and_not_made(tmp_path):
    journal = tmp_path / "deep" / "search.jsonl"
    first = run(journal)

    def refuse(*_):
        raise AssertionError("evaluated again")

    seen = []
    assert run(journal, evaluate=refuse, watch=seen.append) == first
    assert tuple(seen) == first.evaluations
    assert first.evaluations == tuple(
        search.hyperband(9, 3, toys.SPACE.sampler(0), refuse, journal=journal).evaluations
    )


def test_failures_are_kept(tmp_path):
    def evaluate(config, resource, checkpoint):
        if "depth" in config:
            raise search.EvaluationError("too deep", trained=0)
        return toys.evaluate(config, resource, checkpoint)

    first = run(tmp_path / "a.jsonl", evaluate=evaluate)
    assert {each.error for each in first.failures} == {"too deep"}
    assert run(tmp_path / "a.jsonl") == first


def test_tuples_and_numbers_come_back_alike_whether_read_or_made(tmp_path):
    def evaluate(config, resource, checkpoint):
        return 0.1 + 0.2, ("weights", resource)

    made = run(tmp_path / "a.jsonl", evaluate=evaluate)
    assert made.evaluations[0].checkpoint == ["weights", 1]
    assert made.evaluations[0].score == 0.30000000000000004
    assert run(tmp_path / "a.jsonl", evaluate=evaluate) == made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"R": 27}, r"\(R 9, not 27\)"),
        ({"eta": 2}, r"\(eta 3, not 2\)"),
        ({"seed": 1}, r"\(seed 0, not 1\)"),
        ({"budget": 50}, r"\(budget None, not 50\)"),
        ({"rounding": "ceiling"}, r"\(rounding table, not ceiling\)"),
        ({"space": search.Space({"rate": search.Uniform(low=0, high=1)})}, "its space differs"),
    ],
)
def test_the_journal_of_another_search_is_refused(tmp_path, changes, said):
    journal = tmp_path / "a.jsonl"
    run(journal)
    before = journal.read_bytes()
    with pytest.raises(UsageError, match=f"another search.*{said}.*; name another file"):
        run(journal, **changes)
    with pytest.raises(UsageError, match=r"\(method Hyperband, not Random search\)"):
        search.random_search(9, 3, toys.SPACE.sampler(0), toys.evaluate, journal=journal)
    assert journal.read_bytes() == before


def test_draws_that_do_not_repeat_are_refused(tmp_path):
    numbers = iter(range(1000))

    def sample():
        return {"number": next(numbers)}

    def evaluate(config, resource, checkpoint):
        return 0.0, resource

    search.hyperband(9, 3, sample, evaluate, journal=tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match=r"configuration 0 is \{'number': 0\}, not \{'number': 15\}"):
        search.hyperband(9, 3, sample, evaluate, journal=tmp_path / "a.jsonl")


@pytest.mark.parametrize("line", ["nonsense", "[1,2]", '{"trial":0}', '{"odd":1}'])
def test_a_damaged_line_is_named(tmp_path, line):
    journal = tmp_path / "a.jsonl"
    run(journal)
    lines = journal.read_text().splitlines()
    lines[4] = line
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl', line 5: not "):
        run(journal)


@pytest.mark.parametrize("text", ["my notes\nof today", "my notes", '{"mine": 1}\nand'])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path, text):
    journal = tmp_path / "notes.txt"
    journal.write_text(text)
    with pytest.raises(UsageError, match=r"line 1|another search"):
        run(journal)
    assert journal.read_text() == text


def test_two_searches_cannot_write_one_journal(tmp_path):
    journal = tmp_path / "a.jsonl"
    process = Process("hyperband", journal)
    process.evaluate(1)
    with pytest.raises(UsageError, match="another process is writing to it"):
        run(journal)
    process.kill()
    assert journal.is_file()
    search.hyperband(9, 3, toys.SPACE.sampler(5), toys.evaluate, journal=journal)


def test_what_is_no_json_value_is_refused_with_a_journal(tmp_path):
    def evaluate(config, resource, checkpoint):
        return 1.0, object()

    with pytest.raises(UsageError, match=r"cannot hold this checkpoint.*object"):
        run(tmp_path / "a.jsonl", evaluate=evaluate)
    with pytest.raises(UsageError, match="cannot hold this config"):
        search.hyperband(9, 3, object, toys.evaluate, journal=tmp_path / "b.jsonl")


def test_optunas_own_storage_lies_beside_the_journal(tmp_path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = tmp_path / "a.jsonl"
    result = search.asha(9, 3, toys.SPACE.sampler(0), toys.evaluate, journal=journal)
    (tmp_path / "a.jsonl.optuna.lock").symlink_to(tmp_path / "left by a killed process")
    assert search.asha(9, 3, toys.SPACE.sampler(0), toys.evaluate, journal=journal) == result
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "a.jsonl.optuna")))
    study = optuna.load_study(study_name="a", storage=storage)
    finished = [trial for trial in study.trials if trial.state != optuna.trial.TrialState.RUNNING]
    assert study.best_value == max(e.score for e in result.evaluations if e.resource == 9)
    assert [trial.params for trial in finished] == [
        config
        for number, config in {e.trial: e.config for e in result.evaluations}.items()
        if number < len(finished)
    ]
