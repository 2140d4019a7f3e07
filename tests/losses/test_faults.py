"""The list of faults of ``mutants.py`` is of the losses as they are: each can be put in at one place."""

from __future__ import annotations

from collections import Counter

from mlcl_utils import losses
from tests.losses.mutants import FAULTS, ROOT

FOLDER = ROOT / "mlcl_utils" / "losses"


def test_every_fault_can_be_put_in() -> None:
    wrong = [
        (file, code)
        for _, file, code, fault in FAULTS
        if (FOLDER / file).read_text().count(code) != 1 or fault == code
    ]
    assert wrong == []


def test_every_file_of_a_loss_has_three_faults_at_least() -> None:
    counts = Counter(file for _, file, _, _ in FAULTS)
    files = {f"{type(losses.create(name)).__module__.rpartition('.')[2]}.py" for name in losses.names()}
    assert {file for file in files if counts[file] < 3} == set()
