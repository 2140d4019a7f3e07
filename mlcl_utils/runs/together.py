"""A run whose encoder several devices train together: processes that ``torchrun`` starts, one a device."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from mlcl_utils import processes
from mlcl_utils.files import whole
from mlcl_utils.runs.order import Order
from mlcl_utils.runs.store import Result

_ORDER, _RESULT, _ERROR = "order.pkl", "result.pkl", "error.txt"


def execute_together(order: Order, *, device: str, devices: int) -> Result:
    """Makes a run by several processes on this machine.

    Args:
        order: the run; no trial.
        device: ``cpu`` or ``cuda``.
        devices: how many.

    Raises:
        RuntimeError: one of the processes failed; the message is its error.
    """
    with tempfile.TemporaryDirectory(prefix="mlcl-together-") as name:
        folder = Path(name)
        (folder / _ORDER).write_bytes(pickle.dumps((order, device, os.getpid())))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(devices), "-m", "mlcl_utils.runs.together", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if (folder / _ERROR).is_file():
            raise RuntimeError((folder / _ERROR).read_text(encoding="utf-8"))
        if done.returncode or not (folder / _RESULT).is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"training on {devices} devices ended with {done.returncode}: {last}")
        result: Result = pickle.loads((folder / _RESULT).read_bytes())
        return result


def _take_part(folder: Path) -> None:
    """What each of the processes does: trains with the others; the first of them measures and gives the result."""
    order, device, parent = pickle.loads((folder / _ORDER).read_bytes())
    for process in (parent, os.getppid()):  # torchrun may be ended before it can end this one
        processes.end_with(process)
    import torch

    from mlcl_utils.runs.execute import execute
    from mlcl_utils.training import parallel

    try:
        own = parallel.start(torch.device(device))
        result = execute(order.config, device=str(own), keep=order.keep)
        with whole(folder / _RESULT) as temporary:
            temporary.write_bytes(pickle.dumps(result))
        parallel.leave()
    except parallel.Followed:
        parallel.leave()
    except Exception as error:
        temporary = folder / f".{_ERROR}-{os.getpid()}"
        temporary.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        with contextlib.suppress(FileExistsError):  # what the others say then is that they miss the first
            os.link(temporary, folder / _ERROR)
        os._exit(1)  # the others may wait for this one for ever; torchrun ends them


if __name__ == "__main__":
    _take_part(Path(sys.argv[1]))
