"""Executing notebooks unattended: kernels that are watched, notebooks that are saved whatever happens."""

from mlcl_utils.batch.execute import Job, Outcome, Report, run

__all__ = ["Job", "Outcome", "Report", "run"]
