"""Runs: what a training is made of, where it is kept, and how a grid of them is run."""

from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.executor import Grid, carry_out, default_workers, open_engine, pending
from mlcl_utils.runs.store import Run, Store

__all__ = ["Grid", "Run", "RunConfig", "Store", "carry_out", "default_workers", "open_engine", "pending"]
