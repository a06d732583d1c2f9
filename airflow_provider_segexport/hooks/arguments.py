"""Converts the value of one argument: `value from a DAG file, a template or a call -> value of an ExportConfig`.

A template gives text where a DAG file has objects. Each function takes the value and the argument's name.
`hooks/options.py` has checked before that the value is not empty.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from airflow_provider_segexport import date_formats as date_format
from airflow_provider_segexport.countries import CODE_CHARS, country_code
from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.hooks.numpy_scalars import scalar
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.vendors.directory import NAME_PREFIX
from airflow_provider_segexport.yes_no import yes_no

Choice = TypeVar("Choice", bound=str)

EMPTY_TEXTS = frozenset({"", "none", "null", "nan", "nat", "<na>", "notset"})
"""Texts, in lower case, that count as no value: an empty template, and the nulls of Python, JSON, NumPy and pandas.

`{{ var.value.get('missing') }}` renders to `NOTSET` (Airflow 3.3.2).
"""

NO_PATH = re.compile(
    r"[^/\\*?\[\]]+@[^/\\*?\[\]]+\.\w+|\[\s*[({\[]\s*[\w'\"].*[,'\"].*|\{\s*['\"].*|.*[\r\n].*", re.DOTALL
)
"""An email address, or rows as text: of lists, JSON, CSV, or a frame that a template has rendered.

Rows have commas or quotes; `[(a)]` is a pattern for one of three characters.
"""


def is_collection(given: Any) -> bool:
    """Return whether a value is a list, a set, or the lazy sequence of a mapped task's results."""
    return isinstance(given, Sequence | set | frozenset) and not isinstance(given, str | bytes | bytearray)


def is_empty(given: Any) -> bool:
    """Return whether a value is empty: None, one of `EMPTY_TEXTS`, an empty list, or a list with an empty item."""
    if given is None:
        return True
    if isinstance(given, Mapping) or hasattr(given, "__arrow_c_stream__"):
        return False
    if is_collection(given):
        return not given or any(map(is_empty, given))
    text = trimmed(str(given))
    if text.lower() in EMPTY_TEXTS:
        return True
    items = literal(text) if text.startswith(("[", "(")) else None
    return isinstance(items, list | tuple) and is_empty(items)


def described(given: Any) -> str:
    """Describe an empty value for an error. The items of a list that are not empty are left out: they may be rows."""
    value: Any = literal(trimmed(given)) if isinstance(given, str) else given
    return repr(given) if all(map(is_empty, _items(value))) else f"a {type(value).__name__} with an empty item"


def _items(value: Any) -> Iterator[Any]:
    """Yield the items of a list and of the lists in it, or a value that is no list."""
    if not is_collection(value):
        yield value
        return
    for item in value:
        yield from _items(item)


def optional(given: Any) -> str | None:
    """Return a text; None if the value is empty."""
    return None if is_empty(given) else trimmed(str(given))


def text(given: Any, name: str) -> str:
    """Return a text. A whole number is converted, because the ids of some vendors' audiences are numbers."""
    given = scalar(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool | float) or not isinstance(given, str | int):
        raise InvalidArgument(f"`{name}` is of type {type(given).__name__}. To fix: pass a text for `{name}`.")
    value = trimmed(str(given))
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidArgument(
            f"`{name}` is {value!a}, which contains half of a surrogate pair and cannot be written as UTF-8. Nothing "
            f"was sent. To fix: replace such characters in `{name}`."
        )
    return value


def folder(given: Any, name: str) -> str:
    """Return the path or URL of a folder, from a text, a `Path` or an `ObjectStoragePath`."""
    value = text(str(given) if hasattr(given, "iterdir") else given, name)
    if "\0" in value:
        raise InvalidArgument(f"`{name}` is {value!a}, and no path contains NUL. To fix: remove it from `{name}`.")
    return value


def audience(given: Any, name: str) -> str:
    """Return the vendor's id of an audience, or `name:` and a name. Spaces at the ends of a name are kept."""
    if isinstance(given, str) and given.startswith(NAME_PREFIX):
        return given
    return text(given, name)


def region(given: Any, name: str) -> str:
    """Return the ISO 3166-1 alpha-2 code of a country, from the code in any case."""
    code = country_code(given) if isinstance(given, str) and len(trimmed(given)) == CODE_CHARS else None
    if code is None:
        raise InvalidArgument(
            f"`{name}` is {given!r}, which is not a country's code. To fix: set `{name}` to an ISO 3166-1 alpha-2 code "
            "such as 'DE'."
        )
    return code


def date_formats(given: Any, name: str) -> dict[str, str]:
    """Return a mapping of columns to formats of dates."""
    formats = literal(given) if isinstance(given, str) else given
    if not isinstance(formats, Mapping) or not all(isinstance(each, str) for item in formats.items() for each in item):
        raise InvalidArgument(
            f"`{name}` is not a mapping of texts. To fix: map columns to formats, such as {{'born': '%d.%m.%Y'}}, or "
            "pass such a mapping as JSON text."
        )
    return {column: date_format.check(text.strip(), column) for column, text in formats.items()}


def path(given: Any, name: str) -> str:
    """Return a path as text, from a text, a `Path`, an `ObjectStoragePath` or an Asset.

    Raises:
        InvalidSegment: the value is of another type, or a text that holds people and names no file.
    """
    if hasattr(given, "iterdir"):
        return str(given)
    uri = getattr(given, "uri", None)
    if isinstance(uri, str):
        return uri
    if not isinstance(given, str):
        raise InvalidSegment(
            f"A path in `{name}` is of type {type(given).__name__}. To fix: pass a text, a Path, an ObjectStoragePath "
            "or an Asset."
        )
    text = given.strip()
    if NO_PATH.fullmatch(text):  # an error about a missing file would quote it
        raise InvalidSegment(
            f"`{name}` is an email address or rows as text, and no path. Nothing was sent. To fix: write them to a "
            "file, and pass its path."
        )
    return text


FRAME_HINT = (
    "For rows, decorate the function that returns them with `@task.segment_export`, or pass them to `hook.export`, as "
    "a frame of pandas, Polars, PyArrow, DuckDB or another library with the Arrow C stream protocol: a Dask frame "
    "after `.compute()`, a dataset as `dataset.scanner().to_reader()`."
)


def segment(given: Any, name: str = "segment") -> str | list[str]:
    """Return a path, or a list of paths."""
    if isinstance(given, str):
        items = literal(given.strip()) if given.strip().startswith("[") else None
        return [path(item, name) for item in items] if isinstance(items, list) else path(given, name)
    if hasattr(given, "iterdir") or isinstance(getattr(given, "uri", None), str):
        return path(given, name)
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray):
        raise InvalidSegment(
            f"`{name}` is of type {type(given).__name__}. To fix: pass a text, a Path, an ObjectStoragePath, an "
            f"Asset, or a list of them. {FRAME_HINT if name == 'segment' else 'Write rows to Parquet first.'}"
        )
    return [path(item, name) for item in given]


def paths(given: Any, name: str = "suppression_list") -> tuple[str, ...]:
    """Return any number of paths."""
    items = segment(given, name) if given is not None else ""
    return tuple(item for item in ([items] if isinstance(items, str) else items) if optional(item))


def mapping(given: Any, name: str) -> dict[str, str]:
    """Return a mapping of fields to columns."""
    columns = literal(given) if isinstance(given, str) else given
    if not isinstance(columns, Mapping):
        raise InvalidArgument(
            f"`{name}` is not a mapping. To fix: map fields to columns, such as {{'email': 'email'}}, or pass such a "
            "mapping as JSON text."
        )
    for field, column in columns.items():
        if not isinstance(field, str) or not isinstance(column, str) or is_empty(column):
            raise InvalidArgument(
                f"`{name}` maps the field {field!r} to the column {column!r}. To fix: name a column, or remove the "
                f"field from `{name}`."
            )
    return dict(columns)


def number(given: Any, name: str) -> int:
    """Return a whole number."""
    given = scalar(given)
    digits = f"{given:.0f}" if isinstance(given, float) and given.is_integer() else str(given).strip()
    digits = digits.removesuffix(".0")  # a template renders a param of type `number` as 5.0
    if not digits.isdecimal():
        raise InvalidArgument(f"`{name}` is {given!r}. To fix: pass a whole number.")
    return int(digits)


def positive(given: Any, name: str) -> int:
    """Return a whole number above 0."""
    value = number(given, name)
    if not value:
        raise InvalidArgument(f"`{name}` is 0. To fix: pass a number from 1.")
    return value


def refuse_unrendered(given: Any, name: str) -> None:
    """Check that a text, a path, a list or a mapping contains no template that was not rendered.

    Raises:
        InvalidArgument: it contains one.
    """
    if isinstance(given, Mapping):
        given = [*given, *given.values()]
    if is_collection(given):
        for item in given:
            refuse_unrendered(item, name)
        return
    text = given if isinstance(given, str) else getattr(given, "uri", None)
    text = str(given) if hasattr(given, "iterdir") else text
    if isinstance(text, str) and ("{{" in text or "{%" in text):
        raise InvalidArgument(
            f"`{name}` contains a template that was not rendered: {text!r}. Nothing was sent. Airflow renders "
            "templates in arguments of operators, and only once. To fix: pass the value itself to a hook; do not put "
            "a template into the result of a template; in an f-string write `{{{{ ds }}}}` for "
            "`{{ ds }}`."
        )


def flag(given: Any, name: str) -> bool:
    """Return a boolean, also from a word such as `yes`, which a template or a form may give."""
    value = yes_no(scalar(given))
    if value is None:
        raise InvalidArgument(f"`{name}` is {given!r}. To fix: pass true or false.")
    return value


def choice(given: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """Return one of a few values.

    Args:
        given: the value of the argument.
        name: the argument's name, for the error.
        choices: the values that are allowed.

    Raises:
        InvalidArgument: the value is none of them.
    """
    text = str(given).strip()
    for value in choices:
        if text == value:
            return value
    raise InvalidArgument(f"`{name}` is {text!r}. To fix: pass {' or '.join(map(repr, choices))}.")


def literal(text: str) -> Any:
    """Return the value of a text that is JSON, or a Python literal as a template writes it; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def one_of(*choices: str) -> Any:
    """Return a function that reads one of a few values."""
    return partial(choice, choices=choices)
