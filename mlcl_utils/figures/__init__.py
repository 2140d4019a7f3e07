"""Figures and tables for notebooks and papers: one style, one colour per loss, plots that take and return axes."""

from __future__ import annotations

from mlcl_utils.figures import plots, style, tables
from mlcl_utils.figures.files import save, save_table

__all__ = ["plots", "save", "save_table", "style", "tables"]
