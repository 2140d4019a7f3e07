"""Columns of a Parquet file, each decoded when it is asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlcl_utils.data.readers import cells
from mlcl_utils.data.readers.cells import cell_text, normal, shown
from mlcl_utils.data.readers.rows import Column, Rows
from mlcl_utils.errors import DataError

# What goes wrong when a file or column is damaged; text that is not UTF-8 is a ValueError.
_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)


def read_parquet(path: Path) -> Rows:
    """The columns of a Parquet file.

    Raises:
        DataError: it is damaged.
    """
    try:
        file = pq.ParquetFile(path)
        names = [field.name for field in file.schema_arrow]
        types = [field.type for field in file.schema_arrow]
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged, cut off or not a Parquet file: {_first_line(error)}") from None
    return Rows(
        path,
        [normal(name) for name in names],
        file.metadata.num_rows,
        lambda at: ArrowColumn(file, names[at], types[at]),
    )


def _first_line(error: BaseException) -> str:
    return shown(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type without what is laid around it: extensions, dictionaries. Those of Arrow's UUIDs are no texts."""
    while pa.types.is_dictionary(kind) or (
        isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType)
    ):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind.storage_type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        check(kind)
        for check in (
            *(types.is_string, types.is_large_string, types.is_string_view),
            *(types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary),
        )
    )


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(check(kind) for check in (*checks, types.is_list_view, types.is_large_list_view))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


class ArrowColumn(Column):
    """A column of a Parquet file, decoded when its cells are asked for."""

    def __init__(self, file: pq.ParquetFile, name: str, kind: pa.DataType) -> None:
        super().__init__(normal(name), [])
        self._file, self._stored_name, self._type = file, name, _plain(kind)

    @property
    def values(self) -> list[Any]:
        """The cells: texts decoded, others as Python has them; of what cannot be read, None."""
        return self._cells

    @property
    def kind(self) -> str:
        """What it holds by its type, so that nothing need be decoded."""
        if pa.types.is_boolean(self._type):
            return "0 and 1"
        if pa.types.is_null(self._type):
            return "nothing"
        if _is_number(self._type):
            return "numbers"
        if _is_list(self._type):
            return "lists"
        return "text" if _is_text(self._type) else f"values of type {shown(self._type)}"

    @property
    def lists(self) -> bool:
        """Whether the cells are lists, or other values that hold several."""
        return _is_list(self._type) or bool(pa.types.is_nested(self._type))

    @cached_property
    def texts(self) -> list[str]:
        """The cells as texts without white space around them; a missing one is empty."""
        if _is_text(self._type):
            return ["" if value is None else value.strip() for value in self.values]
        if pa.types.is_integer(self._type):
            return ["" if value is None else str(value) for value in self.values]
        return [cell_text(value) for value in self.values]

    @cached_property
    def plain(self) -> npt.NDArray[np.float64] | None:
        """The cells as numbers, if all are such by their type or with a decimal point; NaN for a real missing one."""
        if self._array is None or not (_is_number(self._type) or pa.types.is_boolean(self._type)):
            return cells.plain_numbers(self.texts) if _is_text(self._type) else None
        array = self._array.cast(pa.uint8()) if pa.types.is_boolean(self._type) else self._array
        numbers: npt.NDArray[np.float64] = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers

    def head(self, rows: int) -> list[str]:
        """The texts of the first few rows, without the others being decoded."""
        try:
            batch = next(self._file.iter_batches(batch_size=rows, columns=[self._stored_name]), None)
            array = None if batch is None else batch.column(batch.schema.get_field_index(self._stored_name))
            return [] if array is None else [cell_text(value) for value in array.to_pylist()]
        except _DAMAGE:
            return []

    def numbers(self, decimal: str | None) -> cells.Numbers:
        """The cells as numbers; a type of numbers is read without regard to how texts are written."""
        if self.plain is not None and not _is_text(self._type):
            return cells.Numbers(self.plain, ".")
        return super().numbers(decimal)

    def vectors(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
        """The cells as lists of numbers: N lengths, and all numbers in a row; None if they are no such lists."""
        if not self.lists:
            return super().vectors()
        kind = _plain(self._type.value_type) if _is_list(self._type) else None
        if self._array is None or kind is None or not (_is_number(kind) or pa.types.is_boolean(kind)):
            return None
        import pyarrow.compute as pc

        lengths = pc.fill_null(pc.list_value_length(self._array), 0).to_numpy(zero_copy_only=False)
        flat = pc.list_flatten(self._array)
        flat = flat.cast(pa.uint8()) if pa.types.is_boolean(kind) else flat
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64), values

    @cached_property
    def _array(self) -> pa.Array | None:
        """The column as Arrow has it; None if it cannot be read."""
        try:
            table = self._file.read(columns=[self._stored_name])
            column = table.column(table.column_names.index(self._stored_name))
            array = column.combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
            while array.type != self._type:
                array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array.storage
            return array
        except _DAMAGE as error:
            self.flaw = f"column '{shown(self.name)}': it cannot be read: {_first_line(error)}"
            return None

    @cached_property
    def _cells(self) -> list[Any]:
        array = self._array
        if array is None:
            return [None] * self._file.metadata.num_rows
        if _is_text(self._type):
            return self._texts(array)
        try:
            if pa.types.is_temporal(self._type) and not pa.types.is_duration(self._type):
                values: list[Any] = array.cast(pa.string()).to_pylist()
            else:
                values = array.to_pylist()
            if _is_list(self._type) and _is_text(_plain(self._type.value_type)):
                values = [each if each is None else [_decoded(label) for label in each] for each in values]
            return values
        except _DAMAGE:
            return self._one_by_one(array)

    def _texts(self, array: pa.Array) -> list[Any]:
        try:
            values: list[Any] = (
                array.cast(pa.large_binary()).cast(pa.large_string()).to_pylist()
            )  # checks that it is UTF-8
            return values
        except _DAMAGE:
            pass
        values = []
        for row, value in enumerate(array.cast(pa.large_binary()).to_pylist()):
            try:
                values.append(_decoded(value))
            except UnicodeDecodeError:
                text = value.decode("utf-8", "backslashreplace")
                values.append(text)
                self.flaw = self.flaw or (
                    f"row {row + 1}: '{shown(text)}' in column '{shown(self.name)}' is not UTF-8"
                )
        return values

    def _one_by_one(self, array: pa.Array) -> list[Any]:
        """The cells, where some cannot be decoded, of which the first is the damage."""
        values: list[Any] = []
        for row in range(len(array)):
            try:
                value = array[row].as_py()
                values.append([_decoded(each) for each in value] if isinstance(value, list) else value)
            except _DAMAGE as error:
                values.append(None)
                self.flaw = self.flaw or (
                    f"row {row + 1}: column '{shown(self.name)}' cannot be decoded: {_first_line(error)}"
                )
        return values


def _decoded(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value
