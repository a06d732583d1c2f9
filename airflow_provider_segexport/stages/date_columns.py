"""Read text columns as dates: `FieldMapping, SegmentFiles -> SegmentFiles`, before any row is read."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_segexport import date_formats
from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.storage.plan import FieldMapping, SegmentFiles


def with_dates(mapping: FieldMapping, files: SegmentFiles, consented_at: str = "") -> SegmentFiles:
    """Return the files with the type of a date for each text column that has a date format.

    Args:
        mapping: the field mapping, with the date formats.
        files: the files of the segment.
        consented_at: name of the column with the moment of consent, which is read, too; empty if there is none.

    Raises:
        InvalidFieldMapping: a date format belongs to a column that is not read.
        InvalidSegment: a date format belongs to a column that is not text.
    """
    columns, type_names = dict(files.columns), dict(files.type_names)
    for column, text_format in mapping.date_formats.items():
        if column not in {*mapping.fields.values(), *mapping.custom.values(), consented_at}:
            raise InvalidFieldMapping(
                f"`date_formats` names the column {column!r}, which feeds no field. To fix: map it, or leave it out."
            )
        if files.columns[column] != "text":
            is_date = files.columns[column] in {"date", "timestamp"}
            fix = "leave the column out of `date_formats`" if is_date else "write the column as text"
            raise InvalidSegment(
                f"Column {column!r} is {files.type_names[column]}, and `date_formats` describes text. To fix: {fix}."
            )
        columns[column] = "timestamp" if date_formats.has(text_format, date_formats.TIME_CODES) else "date"
        type_names[column] = f"text with dates ({text_format})"
    return replace(files, columns=columns, type_names=type_names)
