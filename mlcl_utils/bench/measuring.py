"""Time and memory of steps, measured in turn."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile

_TURN = 0.02  # seconds that a form gets before it is another one's turn

Size = tuple[int, int, int]  # examples in the batch, labels, dimensions
Step = Callable[[], object]


def compare(
    name: str, size: Size, forms: dict[str, Step], repeats: int, device: str
) -> list[dict[str, object]]:
    """Time the forms in turn, print a line, and give a row for each of them.

    Args:
        name: of the loss.
        size: of the problem.
        forms: what is measured, the package's own first.
        repeats: of each measurement.
        device: ``cpu`` or ``cuda``.

    Returns:
        The rows that :func:`mlcl_utils.bench.losses` describes.
    """
    times: dict[str, list[float]] = {form: [] for form in forms}
    calls = dict.fromkeys(forms, 1)
    if repeats > 1:
        for form, step in forms.items():
            step()
            # a call that takes less than a turn's time is repeated within the turn, as training repeats it
            calls[form] = max(1, round(_TURN / _seconds(step, device)))
    for _ in range(repeats):
        for form, step in forms.items():
            times[form].append(_seconds(step, device, calls[form]))
    rows: list[dict[str, object]] = []
    for form, step in forms.items():
        row = {"loss": name, "batch": size[0], "labels": size[1], "dim": size[2], "form": form}
        milliseconds = [1000 * t for t in times[form]]
        peak = peak_mib(step, device)
        rows.append(
            row
            | {
                "time_minimum": min(milliseconds),
                "time_median": statistics.median(milliseconds),
                "mem_peak": peak,
            }
        )
    own = rows[0]
    line = f"{name:25}{'×'.join(map(str, size)):>15}"
    line += f"{own['time_minimum']:>10.2f} ({own['time_median']:.2f}) ms{own['mem_peak']:>9.1f} MiB"
    for row in rows[1:]:
        line += f"   {row['form']} ×{row['time_minimum'] / own['time_minimum']:.2f}"  # type: ignore[operator]
    print(line, flush=True)
    return rows


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch with so many threads, and with those it had before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardware(device: str) -> str:
    """What the arithmetic runs on, in words."""
    return torch.cuda.get_device_name() if device == "cuda" else "one thread of the CPU"


def _seconds(step: Step, device: str, calls: int = 1) -> float:
    """Seconds of a call, as the mean of some in a row."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def peak_mib(step: Step, device: str) -> float:
    """The most memory that tensors take during a step, beyond what they took before it."""
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = record.profiler.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    now = peak = 0
    for _, change in sorted(changes):
        now += change
        peak = max(peak, now)
    return peak / 2**20
