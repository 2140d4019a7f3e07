"""Tables of arms against metrics or settings: booktabs LaTeX for a paper, a frame of text for a notebook.

Both take a tidy frame with one row per cell; :func:`plain` writes a frame as it is. The best of a column is marked,
and so are those that are not significantly worse, as :func:`mlcl_utils.stats.standings` finds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlcl_utils import markup
from mlcl_utils.figures import style
from mlcl_utils.stats import Standing

NOTE = "Best in bold; underlined: not significantly worse (paired, 5%, Holm)."


@dataclass(frozen=True)
class _Cell:
    text: str
    spread: str
    standing: Standing
    mark: str


@dataclass(frozen=True)
class _Grid:
    """What both forms print: arms in order, column keys, and the cells that exist."""

    arms: list[str]
    columns: list[tuple[object, ...]]
    cells: dict[tuple[str, tuple[object, ...]], _Cell]


def _grid(data: pd.DataFrame, rows: str, columns: Sequence[str], metric: str | None, digits: int) -> _Grid:
    missing = [name for name in (rows, *columns, "estimate") if name not in data.columns]
    if missing:
        raise ValueError(f"the data have no column {missing}; there are {data.columns.tolist()}")
    if metric is None and "metric" not in columns:
        raise ValueError("name the metric, or have a column 'metric' among the columns")
    keys = list(data[list(columns)].itertuples(index=False, name=None))
    cells: dict[tuple[str, tuple[object, ...]], _Cell] = {}
    for key, (_, row) in zip(keys, data.iterrows(), strict=True):
        place = (str(row[rows]), key)
        if place in cells:
            raise ValueError(f"two rows for {place[0]} at {', '.join(map(str, key))}")
        name = metric if metric is not None else str(row["metric"])
        scale = 100.0 if style.metric(name).percent else 1.0
        if pd.isna(row["estimate"]):
            continue
        spread = ""
        if {"lower", "upper"} <= set(data.columns) and pd.notna(row["lower"]) and pd.notna(row["upper"]):
            spread = f"{(row['upper'] - row['lower']) / 2 * scale:.{digits}f}"
        standing: Standing = row["standing"] if "standing" in data.columns else "worse"
        mark = row["mark"] if "mark" in data.columns else ""
        cells[place] = _Cell(f"{row['estimate'] * scale:.{digits}f}", spread, standing, mark)
    named = data[rows]
    if isinstance(named.dtype, pd.CategoricalDtype):
        arms = [str(name) for name in named.cat.categories]
    else:
        arms = style.order(named.astype(str).unique().tolist())
    return _Grid(arms, list(dict.fromkeys(keys)), cells)


def _headings(key: tuple[object, ...], columns: Sequence[str], metric: str | None) -> list[str]:
    """The words over a column, one per level; arrows say which end is better."""

    def arrow(name: str) -> str:
        better = style.metric(name).higher_is_better
        return {None: "", True: " ↑", False: " ↓"}[better]

    heads = []
    for column, value in zip(columns, key, strict=True):
        if column == "metric":
            heads.append(style.metric(str(value)).label + arrow(str(value)))
        else:
            heads.append(str(value))
    if metric is not None and len(columns) == 1:
        heads.insert(0, style.metric(metric).label + arrow(metric))
    return heads


def latex(
    data: pd.DataFrame,
    *,
    columns: Sequence[str] = ("metric",),
    rows: str = "loss",
    metric: str | None = None,
    digits: int = 1,
    caption: str = "",
    label: str = "",
) -> str:
    """A LaTeX table with booktabs rules; percentages where the metric is a share, half-widths of intervals
    small.

    Args:
        data: one row per cell with ``estimate``, the columns named below and, if there are any, ``lower`` and
            ``upper`` (the 95% interval) and ``standing`` (``best``, ``not worse`` or ``worse``).
            ``mark`` (a symbol set behind the number, such as a dagger) is optional.
        columns: one or two columns of the frame whose values head the table's columns, the outer first; in
            the order in which they first occur.
        rows: column of arms, in the usual order of losses, or in that of its categories if it is categorical.
        metric: what the numbers are, if ``metric`` is not among the columns.
        digits: behind the point.
        caption: text above the table, escaped here; what bold and underlined mean is added. Empty for a bare
            ``tabular``.
        label: to refer to it, of letters, digits and ``: . / _ -``.

    Returns:
        Text that needs ``\\usepackage{booktabs}`` only.

    Raises:
        ValueError: a column is missing, a cell is given twice, there are more than two levels of columns, or the
            label has other characters.
    """
    if not 1 <= len(columns) <= 2:
        raise ValueError(f"columns must be one or two names, not {len(columns)}")
    grid = _grid(data, rows, columns, metric, digits)
    heads = [[markup.latex(head) for head in _headings(key, columns, metric)] for key in grid.columns]
    lines = [r"\begin{tabular}{l" + "c" * len(heads) + "}", r"\toprule"]
    if len(heads[0]) == 2:
        lines += _outer(heads)
    lines += [" & ".join(["", *(head[-1] for head in heads)]) + r" \\", r"\midrule"]
    for position, arm in enumerate(grid.arms):
        if position and _family(arm) != _family(grid.arms[position - 1]):
            lines.append(r"\midrule")
        cells = [_latex_cell(grid.cells.get((arm, key))) for key in grid.columns]
        lines.append(" & ".join([markup.latex(style.look(arm).label), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if caption:
        note = f" {NOTE}" if "standing" in data.columns else ""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{markup.latex(caption + note)}}}",
            *lines,
            r"\end{table}",
        ]
        if label:
            lines.insert(3, rf"\label{{{markup.latex_label(label)}}}")
    return "\n".join(lines) + "\n"


def _outer(heads: list[list[str]]) -> list[str]:
    """The upper line of a two-level head, each word over the columns it spans, with rules below."""
    spans: list[tuple[str, int]] = []
    for outer, _ in heads:
        if spans and spans[-1][0] == outer:
            spans[-1] = (outer, spans[-1][1] + 1)
        else:
            spans.append((outer, 1))
    words, rules, first = [""], [], 2
    for outer, count in spans:
        words.append(rf"\multicolumn{{{count}}}{{c}}{{{outer}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    return [" & ".join(words) + r" \\", " ".join(rules)]


def _family(arm: str) -> str:
    return style.look(arm.split("+")[0]).line


def _latex_cell(cell: _Cell | None) -> str:
    if cell is None:
        return "--"
    marks: dict[Standing, Callable[[str], str]] = {
        "best": lambda text: rf"\textbf{{{text}}}",
        "not worse": lambda text: rf"\underline{{{text}}}",
        "worse": lambda text: text,
    }
    spread = rf"\,{{\scriptsize$\pm${cell.spread}}}" if cell.spread else ""
    return marks[cell.standing](cell.text) + markup.latex(cell.mark) + spread


def plain(data: pd.DataFrame, *, form: str = ".6g", missing: str = "NaN", named_rows: bool = False) -> str:
    """A LaTeX table with booktabs rules of the columns of a frame, numbers flush right.

    Args:
        data: one row per line; its names and texts are escaped here.
        form: of numbers that are not whole by their type, such as ``".3g"``.
        missing: text in place of what is missing.
        named_rows: whether the index is the first column, which has no heading.

    Returns:
        Text that needs ``\\usepackage{booktabs}`` only.
    """
    sides = "".join(
        "r" if is_numeric_dtype(kind) and not is_bool_dtype(kind) else "l" for kind in data.dtypes
    )
    body = [
        [markup.latex(_text(value, form, missing)) for value in row]
        for row in data.itertuples(index=named_rows, name=None)
    ]
    heads = [markup.latex(str(name)) for name in data.columns]
    lines = [
        rf"\begin{{tabular}}{{{'l' * named_rows}{sides}}}",
        r"\toprule",
        *(" & ".join(row) + r" \\" for row in [[""] * named_rows + heads]),
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _text(value: object, form: str, missing: str) -> str:
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value)):
        return missing
    return format(value, form) if isinstance(value, float | np.floating) else str(value)


def frame(
    data: pd.DataFrame,
    *,
    columns: Sequence[str] = ("metric",),
    rows: str = "loss",
    metric: str | None = None,
    digits: int = 1,
) -> pd.DataFrame:
    """The same table as text for a notebook: the best has a ``*``, those not significantly worse a ``~``.

    Args:
        data: as in :func:`latex`.
        columns: as in :func:`latex`, any number of levels.
        rows: column of arms, in the usual order of losses, or in that of its categories if it is categorical.
        metric: what the numbers are, if ``metric`` is not among the columns.
        digits: behind the point.

    Returns:
        A frame of strings, arms by name in the index.

    Raises:
        ValueError: a column is missing, or a cell is given twice.
    """
    grid = _grid(data, rows, columns, metric, digits)
    marks: dict[Standing, str] = {"best": "*", "not worse": "~", "worse": ""}

    def text(cell: _Cell | None) -> str:
        if cell is None:
            return "–"
        return cell.text + cell.mark + marks[cell.standing] + (f" ± {cell.spread}" if cell.spread else "")

    heads = [tuple(_headings(key, columns, metric)) for key in grid.columns]
    names = pd.Index([head[0] for head in heads]) if len(heads[0]) == 1 else pd.MultiIndex.from_tuples(heads)
    body = [[text(grid.cells.get((arm, key))) for key in grid.columns] for arm in grid.arms]
    return pd.DataFrame(body, index=[style.look(arm).label for arm in grid.arms], columns=names)
