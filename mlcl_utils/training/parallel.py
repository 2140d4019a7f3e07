"""Training by several processes, one a device: what they share, so that they compute what one process would.

Every process has the whole model and takes its share of each batch. The tensors that a loss takes are gathered, with
gradient, before the loss is computed, by all of them alike: an embedding meets the whole batch, not a share of it.
DistributedDataParallel averages the gradients of the parameters over the W processes. Gathering adds up what all
processes have to say about an embedding, which is W times its gradient, so that the average is that of one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

M = TypeVar("M", bound=nn.Module)


class Followed(Exception):
    """Training is over in a process that is not the first: nothing is left for it to do."""


def size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def start(device: torch.device) -> torch.device:
    """Join the group of the processes that ``torchrun`` started, and return the device of this one."""
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type != "cuda":
        return device
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


def leave() -> NoReturn:
    """End this process, with success, at once.

    One that ends as usual, its group destroyed or not, has been seen to abort when the threads of gloo are taken down;
    ``torchrun`` then ends all the others.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def share(batch: Tensor) -> Tensor:
    """The part of a batch that is this process's: consecutive, and as large as the others' but for one example.

    Raises:
        ValueError: there are fewer examples than processes.
    """
    if len(batch) < size():
        raise ValueError(f"a batch of {len(batch)} examples cannot be divided among {size()} processes")
    return batch.tensor_split(size())[rank()]


def gather(own: Tensor, count: int) -> Tensor:
    """The rows of all processes in order, with gradient.

    Args:
        own: (n, ...) those of this process.
        count: rows of all together, divided as :func:`share` does.

    Returns:
        (count, ...); itself where there is one process.
    """
    if size() == 1:
        return own
    gathered: Tensor = _Gather.apply(own, [len(part) for part in torch.empty(count).tensor_split(size())])
    return gathered


def gather_all(own: Tensor) -> Tensor:
    """The rows of all processes in order, with gradient, however many each has: for training loops of your own.

        z, y = gather_all(network(inputs)), gather_all(labels)
        criterion(y, embeddings=z, prototypes=prototypes).backward()

    Every process has to call it alike, and computes the same loss of the whole batch. With the network (and the
    prototypes) in a DistributedDataParallel, gradients are those that one process would have of that batch; torch's
    own ``all_gather`` has none. Labels are gathered in the same way.

    Args:
        own: (n, ...) those of this process; n may be 0 and differ, the other sizes and the type may not.

    Returns:
        (sum of n, ...); itself where there is one process.
    """
    if size() == 1:
        return own
    gathered: Tensor
    if own.dtype == torch.bool:  # not every backend sends it
        gathered = _Gather.apply(own.to(torch.uint8), from_all(len(own)))
        return gathered.bool()
    gathered = _Gather.apply(own, from_all(len(own)))
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: list[int]) -> Tensor:
        ctx.start, ctx.own = sum(sizes[: rank()]), len(own)
        # all are sent as long as the longest
        padded = own.new_zeros((max(sizes), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, sizes, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.contiguous()
        dist.all_reduce(whole)
        return whole[ctx.start : ctx.start + ctx.own], None


def synchronised(model: M, device: torch.device) -> M:
    """The model with batch normalisation over the batch of all processes, as it would be in one.

    On GPUs alone: on CPUs torch has no such layer, and each process normalises by its own share.
    """
    if size() > 1 and device.type == "cuda":
        converted: M = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    return model


def distributed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as all processes train it together; itself where there is one process."""
    if size() == 1:
        return model
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def reaching_all(value: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    """The value of a loss, with a gradient of zero to what a model gave and the loss left out.

    DistributedDataParallel waits for the gradient of every parameter; heads that get none would keep it waiting.
    """
    if size() == 1:
        return value
    return value + 0 * torch.stack([tensor.sum().to(value.dtype) for tensor in given.values()]).sum()


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """The mean of the gradients over all processes, for what DistributedDataParallel does not see."""
    if size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:  # unused by this process's share, perhaps not by another's
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= size()


def total(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if size() > 1:
        dist.all_reduce(values)
    return values


def agreed(here: bool) -> bool:
    """What the first process finds, for all of them: clocks differ."""
    if size() == 1:
        return here
    found = [here]
    dist.broadcast_object_list(found)
    return found[0]


def from_all(value: Any) -> list[Any]:
    """What each process has, in their order."""
    found = [value] * size()
    if size() > 1:
        dist.all_gather_object(found, value)
    return found
