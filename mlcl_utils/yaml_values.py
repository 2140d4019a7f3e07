"""Values of YAML files, words without quotes read as the reader of a file says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from mlcl_utils.errors import UsageError

MOST_VALUES = 100_000
"""As many values as a file may stand for; aliases of aliases make billions out of a few lines."""

_STR, _NULL, _MERGE, _SEQ, _MAP = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "null", "merge", "seq", "map")
)
_NULLS = re.compile(r"(~|null|Null|NULL|)$")


class _Composer(yaml.SafeLoader):
    """Tells nothing by its looks but null and merge keys: YAML 1.1 reads 010 as 8, 1:30 as 90 and 1e-3 as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class above has it
        **{first: [(_NULL, _NULLS)] for first in ("~", "n", "N", "")},
        "<": [(_MERGE, re.compile("<<$"))],
    }


def yaml_node(text: str) -> yaml.Node | None:
    """The content of a YAML file, to be made values of by `yaml_value`; None if there is none.

    Raises:
        UsageError: it is not YAML; the message begins so and says where.
    """
    try:
        return yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"not YAML: {where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UsageError("not YAML that can be read: it is nested too deep") from None


def yaml_value(node: yaml.Node, word: Callable[[str], Any]) -> Any:
    """The values of a part of a YAML file: lists, mappings, texts, None, and whatever words stand for.

    Args:
        node: the part, from `yaml_node`.
        word: gives the value of a word without quotes.

    Raises:
        UsageError: a key is given twice or is none, a tag, or aliases without end; the message names the line.
    """
    counted = iter(range(MOST_VALUES))
    try:
        return _value(node, word, counted)
    except RecursionError:
        raise UsageError(f"{_line(node)}: nested too deep, or an alias that is part of itself") from None


def _value(node: yaml.Node, word: Callable[[str], Any], counted: Iterator[int]) -> Any:
    if next(counted, None) is None:
        raise UsageError(f"{_line(node)}: more than {MOST_VALUES:,} values, by aliases of aliases")
    if isinstance(node, yaml.ScalarNode) and node.tag in {_STR, _NULL}:
        if node.tag == _NULL:
            return None
        return word(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
        return [_value(each, word, counted) for each in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
        return _mapping(node, word, counted)
    raise UsageError(f"{_line(node)}: the tag {node.tag} is not known here; write the value without it")


def _mapping(node: yaml.MappingNode, word: Callable[[str], Any], counted: Iterator[int]) -> dict[Any, Any]:
    own: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    first: dict[Any, yaml.Node] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise UsageError(f"{_line(key_node)}: a list or mapping is no key")
        merges = key_node.tag == _MERGE
        key = key_node.value if merges else _value(key_node, word, counted)
        before = first.setdefault(key, key_node)
        if before is not key_node:
            lines = f"lines {before.start_mark.line + 1} and {key_node.start_mark.line + 1}"
            raise UsageError(f"{key_node.value!r} is given twice, in {lines}")
        if not merges:
            own[key] = _value(value_node, word, counted)
            continue
        sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise UsageError(f"{_line(source)}: << takes a mapping, or a list of mappings")
            for name, value in _value(source, word, counted).items():
                merged.setdefault(name, value)
    return {**merged, **own}


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
