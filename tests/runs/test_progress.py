"""What a line of progress says."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from mlcl_utils.runs import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that is put forward by hand."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def left(bar: progress.Progress, capsys: pytest.CaptureFixture[str], clock: SimpleNamespace) -> float:
    clock.now += progress.EVERY_SECONDS  # or nothing would be said
    bar.show()
    (seconds,) = re.findall(r"about (\d+) s left", capsys.readouterr().err)
    return float(seconds)


def test_time_left_goes_by_the_work_and_not_by_the_runs(
    capsys: pytest.CaptureFixture[str], clock: SimpleNamespace
) -> None:
    """One long run is done, three short ones are missing; what another process did took no time here."""
    bar = progress.Progress(total=5, work=14.0)
    bar.counts.done += 1
    bar.worked(10.0)
    clock.now += 90
    assert left(bar, capsys, clock) == pytest.approx(100 * 4 / 10)
    bar.counts.existed += 1
    bar.worked(1.0, here=False)
    assert left(bar, capsys, clock) == pytest.approx(110 * 3 / 10)
    bar.counts.failed += 1
    bar.worked(1.0)
    assert left(bar, capsys, clock) == pytest.approx(120 * 2 / 11, abs=0.5)


def test_without_an_estimate_of_the_work_every_run_takes_as_long(
    capsys: pytest.CaptureFixture[str], clock: SimpleNamespace
) -> None:
    bar = progress.Progress(total=4, what="replays")
    bar.counts.done += 1
    assert left(bar, capsys, clock) == pytest.approx(30)
