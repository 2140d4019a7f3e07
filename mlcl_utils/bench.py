"""Time and memory of the losses, beside the forms that their formulas suggest.

Forward plus backward on one thread (on a GPU: with all of it), repetitions of the forms interleaved, so that a busy
moment falls on all of them. Ratios are of minima within one run; what else the machine does can move a time but hardly
a ratio.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from mlcl_utils import losses as loss_library
from mlcl_utils.figures import save, style
from mlcl_utils.losses.contrast import unit

_TURN = 0.02  # seconds that a form gets before it is another one's turn

Size = tuple[int, int, int]  # examples in the batch, labels, dimensions
Step = Callable[[], object]

SIZES: tuple[Size, ...] = (
    (64, 20, 256),
    (256, 100, 256),
    (256, 400, 256),
    (512, 400, 256),
    (1024, 4000, 256),
)
OTHERS: dict[str, tuple[Size, ...]] = {  # sizes at which a loss is compared with its usual form besides
    "kmcl": ((64, 20, 256), (128, 80, 256)),
    "clml": ((128, 80, 2048),),
}
HUGE: Size = (1024, 30_000, 256)
STREAMED = ("msc", "reg")

_DIRECT_BYTES = 2**30  # of one array of (anchors, candidates, labels) above which the direct form is left out
_LOOP_PAIRS = 20_000  # of examples and labels above which the usual forms of kmcl and clml are left out


def losses(
    sizes: Sequence[Size] = SIZES, out: Path | None = None, repeats: int = 7, device: str = "cpu"
) -> pd.DataFrame:
    """Measure every loss at every size, print the table and, with ``out``, save it with a plot.

    Args:
        sizes: (batch, labels, dim) each; with the default ones also the further comparisons of :data:`OTHERS` and the
            huge label space of :data:`HUGE`.
        out: a folder for ``losses.csv`` and the plot as PDF, SVG and PNG.
        repeats: of each measurement.
        device: ``cpu`` or ``cuda``.

    Returns:
        One row for each loss, size and form: ``loss``, ``batch``, ``labels``, ``dim``, ``form``,
        ``time_minimum`` and ``time_median`` in milliseconds, ``mem_peak`` in MiB beyond what was there before.
    """
    rows: list[dict[str, object]] = []
    print(f"forward + backward on {_hardware(device)}, {repeats} interleaved repetitions; minimum (median)")
    whole = tuple(sizes) == SIZES
    with _threads(1):
        for size in sizes:
            for name in loss_library.names():
                rows += _measure(name, size, repeats, device)
        if whole:
            for name, further in OTHERS.items():
                for size in further:
                    if size not in sizes:
                        rows += _measure(name, size, repeats, device)
            rows += _metric_learning((512, 50, 256), repeats, device)
    if whole:
        print("in blocks of rows, on two threads, once:")
        with _threads(2):
            for name in STREAMED:
                rows += _measure(name, HUGE, 1, device)
    table = pd.DataFrame(rows)
    if out is not None:
        save(_plot(table), out, "losses", data=table)
    return table


def _measure(name: str, size: Size, repeats: int, device: str) -> list[dict[str, object]]:
    labels = _labels(size, device)
    return _compare(name, size, dict(_forms(name, labels, size, device)), repeats, device)


def _compare(
    name: str, size: Size, forms: dict[str, Step], repeats: int, device: str
) -> list[dict[str, object]]:
    """Time the forms in turn, print a line, and give a row for each of them."""
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
        peak = _peak_mib(step, device)
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


def _forms(name: str, labels: Tensor, size: Size, device: str) -> Iterator[tuple[str, Step]]:
    """The forms of a loss that are compared, its own first."""
    batch, count, _ = size
    criterion = loss_library.create(name).to(device)
    tensors = _tensors(loss_library.info(name).tensors, size, device)
    yield "package", _step(lambda: criterion(labels, **tensors), tensors)
    products = list(_products(name, size))
    if products:
        yield "products", _products_step(products, device)
    anchors = {"reg": batch + count}.get(name, batch)
    candidates = {"reg": batch + count, "msc": batch + count}.get(name, batch)
    if name in _DIRECT and 4 * anchors * candidates * count <= _DIRECT_BYTES:
        yield "direct", _step(lambda: _direct(name, labels, tensors), tensors)
    if name == "kmcl" and batch * count <= _LOOP_PAIRS:
        yield "loop", _step(lambda: _kmcl_in_a_loop(labels, tensors), tensors)
    if name == "clml" and batch * count <= _LOOP_PAIRS:
        yield "svds", _step(lambda: _clml_by_svd(labels, tensors["features"]), tensors)


# measuring


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _hardware(device: str) -> str:
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


def _peak_mib(step: Step, device: str) -> float:
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


def _step(value: Callable[[], Tensor], tensors: dict[str, Tensor]) -> Step:
    def step() -> None:
        for tensor in tensors.values():
            tensor.grad = None
        value().backward()  # type: ignore[no-untyped-call]

    return step


# problems


def _labels(size: Size, device: str) -> Tensor:
    """Labels with a long tail, about five to an example and at least one."""
    batch, count, _ = size
    generator = torch.Generator().manual_seed(0)
    weights = 1 / (torch.arange(count) + 10.0)
    chosen = torch.multinomial(weights.expand(batch, -1), min(5, count), generator=generator)
    kept = torch.rand(chosen.shape, generator=generator) < 0.8
    kept[:, 0] = True
    labels = torch.zeros(batch, count, dtype=torch.bool)
    labels[torch.arange(batch)[:, None].expand_as(chosen)[kept], chosen[kept]] = True
    return labels.to(device)


def _tensors(names: Sequence[str], size: Size, device: str) -> dict[str, Tensor]:
    batch, count, dim = size
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "prototypes": (count, dim),
        "logits": (batch, count),
        "mean": (batch, count),
        "variance": (batch, count),
    }
    tensors = {name: torch.randn(shapes.get(name, (batch, dim)), generator=generator) for name in names}
    if "variance" in tensors:
        tensors["variance"] = 1 + tensors["variance"].exp()
    return {name: tensor.to(device).requires_grad_() for name, tensor in tensors.items()}


# what cannot be avoided


def _products(name: str, size: Size) -> Iterator[tuple[int, int, int]]:
    """The matrix products of a loss, each (rows, inner, columns): similarities, their gradient, weights."""
    batch, count, dim = size
    both = batch + count
    if name == "reg":  # the gradients as rows and as columns are of one symmetric matrix
        yield from [(both, dim, both), (both, both, dim), (batch, count, batch)]
    elif name == "msc":
        yield from [(batch, dim, both), (batch, both, dim), (both, batch, dim)]
        yield from [(batch, count, batch), (batch, batch, count), (batch, count, batch)]
    elif name in ("jaccard_supcon", "mulsupcon", "similarity_dissimilarity"):
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, count, batch)]
    elif name in ("prototype", "cosine_bce"):
        yield from [(batch, dim, count), (batch, count, dim), (count, batch, dim)]
    elif name == "instance":
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, batch, dim)]


def _products_step(products: Sequence[tuple[int, int, int]], device: str) -> Step:
    pairs = [
        (torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device))
        for rows, inner, columns in products
    ]

    def step() -> None:
        for left, right in pairs:
            left @ right

    return step


# the forms that the formulas suggest


def _direct_reg(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    preference = (shared.sum(dim=2) / sizes.clamp(min=1)) ** 0.0
    preferred = shared * preference[:, :, None]
    return (preferred / preferred.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2) / sizes[:, None].clamp(
        min=1
    )


def _direct_msc(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    batch = len(sizes)
    union = sizes[:, None] + candidates.sum(dim=1) - shared.sum(dim=2)
    closeness = shared / union[:, :, None].clamp(min=1)
    closeness[:, batch:] = shared[:, batch:]
    return (closeness / closeness.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2) / sizes[:, None].clamp(
        min=1
    )


def _direct_jaccard_supcon(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    common = shared.sum(dim=2)
    jaccard = common / (sizes[:, None] + sizes - common).clamp(min=1)
    return jaccard / jaccard.sum(dim=1, keepdim=True).clamp(min=1e-12)


def _direct_mulsupcon(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    weights = (shared / shared.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2)
    return weights * len(sizes) / sizes.sum()


def _direct_similarity_dissimilarity(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    common = shared.sum(dim=2)
    weights = common / sizes[:, None].clamp(min=1) / (1 + sizes - common)
    return weights / (common > 0).sum(dim=1, keepdim=True).clamp(min=1)


_DIRECT = {
    "reg": _direct_reg,
    "msc": _direct_msc,
    "jaccard_supcon": _direct_jaccard_supcon,
    "mulsupcon": _direct_mulsupcon,
    "similarity_dissimilarity": _direct_similarity_dissimilarity,
}


def _direct(name: str, labels: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """A contrastive loss by the array of which labels each anchor shares with each candidate."""
    batch, count = labels.shape
    candidates = labels.float()
    vectors = unit(tensors["embeddings"])
    if name in ("reg", "msc"):
        candidates = torch.cat([candidates, torch.eye(count, device=labels.device)])
        vectors = torch.cat([vectors, unit(tensors["prototypes"])])
    anchors = len(vectors) if name == "reg" else batch
    own_pairs = torch.eye(anchors, len(vectors), dtype=torch.bool, device=labels.device)
    shared = candidates[:anchors, None] * candidates[None]
    shared[own_pairs] = 0
    weights = _DIRECT[name](shared, candidates[:anchors].sum(dim=1), candidates)
    del shared
    similarity = vectors[:anchors] @ vectors.T / 0.1
    biased = similarity.masked_fill(own_pairs, -math.inf)
    if name == "msc":
        biased = torch.cat([biased[:, :batch] + math.log(0.1), biased[:, batch:]], dim=1)
    log_p = similarity - biased.logsumexp(dim=1, keepdim=True)
    terms = weights * log_p
    if name == "reg":
        terms = terms + (log_p.exp() - weights).clamp(min=0).detach() * (weights != 0) * similarity
    active = len(weights) if name == "mulsupcon" else (weights.sum(dim=1) > 0).sum()
    loss: Tensor = -terms.sum() / active
    return loss


def _kmcl_in_a_loop(labels: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """KMCL with an array over all pairs and classes, and a loop over the anchors."""
    logits, mean, variance, features = (tensors[name] for name in ("logits", "mean", "variance", "features"))
    positive, width = labels.float(), features.shape[1]
    asl: Tensor = loss_library.create("asl", reduction="sum", eps=1e-7)(labels, logits=logits)
    squares = ((features[:, :, None] - mean[:, None]) ** 2 / variance[:, None]).sum(dim=1)
    shares = F.logsigmoid(logits) - squares / 2
    inside = shares.masked_fill(~labels, -math.inf)
    reconstruction = (shares.logsumexp(dim=1) - inside.logsumexp(dim=1)).mean()
    both = variance[:, None] + variance
    log_rho = -width * (mean[:, None] - mean) ** 2 / both / 4
    log_rho = log_rho - width / 2 * (both / (2 * (variance[:, None] * variance).sqrt())).log()
    scores = log_rho.exp() / 0.17
    contrast = logits.new_zeros(())
    for n in range(len(labels)):
        others = torch.arange(len(labels), device=labels.device) != n
        common = positive[others] * positive[n]
        sharing = common.sum(dim=1) > 0
        if not sharing.any():
            continue
        union = ((positive[others] + positive[n]) > 0).sum(dim=1)
        jaccard = common.sum(dim=1) / union
        log_p = scores[n, others] - scores[n, others].logsumexp(dim=0)
        log_terms = jaccard[sharing, None].log() + log_p[sharing]
        contrast = contrast - (common[sharing] * log_terms).sum() / sharing.sum()
    return asl + reconstruction + contrast / len(labels)


def _clml_by_svd(labels: Tensor, features: Tensor) -> Tensor:
    """CLML by one singular value decomposition for each label."""
    value: Tensor = -torch.linalg.svdvals(features).sum()
    for label in range(labels.shape[1]):
        rows = features[labels[:, label]]
        value = value + (torch.linalg.svdvals(rows).sum() if len(rows) else features.new_ones(())).clamp(
            min=1
        )
    return value / len(labels)


def _metric_learning(size: Size, repeats: int, device: str) -> list[dict[str, object]]:
    """``jaccard_supcon`` beside SupConLoss of pytorch-metric-learning, which takes one label for an example."""
    if importlib.util.find_spec("pytorch_metric_learning") is None:
        print("pytorch-metric-learning is not installed: its SupConLoss is left out")
        return []
    from pytorch_metric_learning.losses import SupConLoss  # type: ignore[import-not-found]

    batch, count, _ = size
    classes = torch.randint(count, (batch,), generator=torch.Generator().manual_seed(0)).to(device)
    labels = F.one_hot(classes, count).bool()
    criterion = loss_library.create("jaccard_supcon")
    other = SupConLoss(temperature=0.1)
    tensors = _tensors(("embeddings",), size, device)
    torch.testing.assert_close(criterion(labels, **tensors), other(tensors["embeddings"], classes))
    forms = {
        "package": _step(lambda: criterion(labels, **tensors), tensors),
        "pytorch-metric-learning": _step(lambda: other(tensors["embeddings"], classes), tensors),
    }
    return _compare("jaccard_supcon", size, forms, repeats, device)


def _plot(table: pd.DataFrame) -> Figure:
    """Time and memory by size, one line a loss, with the direct forms as crosses."""
    problem = ["batch", "labels", "dim"]
    shared = table.groupby(problem).filter(lambda rows: rows["loss"].nunique() > 1)
    sizes = sorted(set(shared[problem].itertuples(index=False, name=None)))
    shared = shared.assign(
        place=[sizes.index(size) for size in shared[problem].itertuples(index=False, name=None)]
    )
    with style.use():
        figure, axes = style.figure(columns=2, ratio=1.3)
        for ax, column, name in (
            (axes[0][0], "time_minimum", "forward + backward (ms)"),
            (axes[0][1], "mem_peak", "peak memory (MiB)"),
        ):
            for loss in style.order(list(shared["loss"].unique())):
                look, rows = style.look(loss), shared[shared["loss"] == loss]
                own, direct = (rows[rows["form"] == form] for form in ("package", "direct"))
                drawn = {"color": look.colour, "ms": 3}
                ax.plot(
                    own["place"], own[column], ls=look.line, marker=look.marker, label=look.label, **drawn
                )
                ax.plot(direct["place"], direct[column], ls="none", marker="x", **drawn)
            ax.plot([], [], ls="none", marker="x", color="black", ms=3, label="direct form")
            ax.set_yscale("log")
            ax.set_ylabel(name)
            ax.set_xticks(
                range(len(sizes)), ["×".join(map(str, size)) for size in sizes], rotation=40, ha="right"
            )
            ax.set_xlabel("batch × labels × dim")
        axes[0][1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=6)
    return figure
