"""How fast an encoder is trained end to end, and whether it waits for its images."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from mlcl_utils import data, losses
from mlcl_utils.training.loop import Training
from mlcl_utils.training.recipe import Recipe


def training(
    encoder: str = "resnet50:random",
    loss: str = "msc",
    batch: int = 64,
    steps: int = 20,
    device: str = "cpu",
    threads: int | None = None,
) -> dict[str, float]:
    """Measure and print training on the drawings of `emoji`, read from the file of decoded pixels.

    Args:
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
        loss: a name of :func:`mlcl_utils.losses.available`.
        batch: examples a step.
        steps: steps of each of three epochs, the first of which warms up and is not measured.
        device: ``cpu`` or ``cuda``.
        threads: of the arithmetic on the CPU; torch's own number if not given.

    Returns:
        ``steps`` and ``images`` a second, of the faster epoch; ``waiting``, the share of the time in which the loop
        waited for images; ``memory``, peak bytes on a GPU, else 0.
    """
    losses.check(loss)
    if threads is not None:
        torch.set_num_threads(threads)
    where = torch.device(device)
    task = data.task(data.load("emoji"), num_labels=100, replicate=0)
    rows = np.resize(np.arange(len(task.train)), batch * steps)
    few = {
        field.name: value[rows]
        for field in dataclasses.fields(task.train)
        if isinstance(value := getattr(task.train, field.name), np.ndarray)
    }
    validation = {name: value[:batch] for name, value in few.items()}
    task = dataclasses.replace(
        task,
        train=dataclasses.replace(task.train, **few),
        validation=dataclasses.replace(task.train, **validation),
    )
    recipe = Recipe(epochs=3, min_steps=0, batch_size=batch, learning_rate=1e-4)
    run = Training(task, loss, recipe, encoder=encoder, hyperparameters={}, seed=0, device=where)
    seconds, waited = [], []
    for epoch in range(1, recipe.epochs + 1):
        start, before = time.perf_counter(), run.fitted().time_waiting
        run.advance(epoch)  # its end waits for the device
        seconds.append(time.perf_counter() - start)
        waited.append(run.fitted().time_waiting - before)
    best = min((1, 2), key=lambda epoch: seconds[epoch])
    result = {
        "steps": steps / seconds[best],
        "images": steps * batch / seconds[best],
        "waiting": waited[best] / seconds[best],
        "memory": float(torch.cuda.max_memory_allocated(where)) if where.type == "cuda" else 0.0,
    }
    print(
        f"{encoder} with {loss} on {device}, batches of {batch}: {result['steps']:.2f} steps/s, "
        f"{result['images']:.1f} images/s, waiting for images {result['waiting']:.1%}"
        + (f", {result['memory'] / 2**30:.1f} GiB" if result["memory"] else "")
    )
    return result
