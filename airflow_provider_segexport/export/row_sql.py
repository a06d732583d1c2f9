"""SQL of a row's JSON, and of the hash that shows whether the row has changed: `JsonTemplate -> RowSql`."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.stages import encode, row_hash
from airflow_provider_segexport.storage.known_fields import KnownField
from airflow_provider_segexport.storage.plan import ITEM_SUFFIX, RowSql
from airflow_provider_segexport.storage.tables import CLEAN_ROWS
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.item_template import JsonTemplate


def mapped_row_sql(
    vendor: Vendor, checked: Preflight, fields: Mapping[str, KnownField], rows: str = CLEAN_ROWS
) -> RowSql:
    """Return the SQL of a row's JSON and hash for a checked field mapping.

    Args:
        vendor: of the audience.
        checked: field mapping and audience.
        fields: of the audience's state, with those of this mapping.
        rows: the relation with the mapped columns.
    """
    columns = checked.mapping.columns
    keys = {column.name: column.custom_field.key.lower() for column in columns if column.custom_field is not None}
    generations = {column: fields[key].generation for column, key in keys.items() if key in fields}
    return row_sql(vendor.item_template(checked.mapped, checked.audience), rows, generations)


def row_sql(template: JsonTemplate, rows: str = CLEAN_ROWS, generations: Mapping[str, int] | None = None) -> RowSql:
    """Return the SQL of a row's JSON, and of the hash that shows whether the row has changed.

    Args:
        template: the vendor's.
        rows: the relation with the columns of the template.
        generations: by column, the generation of the vendor's field that it feeds; None if all have generation 0.
    """
    return RowSql(encode.expression(template, ITEM_SUFFIX), row_hash.expression(template, generations), rows)
