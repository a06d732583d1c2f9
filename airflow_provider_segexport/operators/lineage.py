"""Reports an export to OpenLineage: `segment -> audience`, column by field.

The OpenLineage provider calls this module. Without that provider it is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.operators.links import folder_of

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest
    from airflow_provider_segexport.model import Audience
    from airflow_provider_segexport.vendors.base import Vendor


def on_complete(operator: Any, task_instance: Any) -> Any:  # noqa: ARG001 - as OpenLineage calls it
    """Return the datasets of a run that has ended or failed; None for a dry run, and for a run without a plan.

    Args:
        operator: the task, after it was executed.
        task_instance: not used.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415

    folder = folder_of(operator)
    plan = folder.plan() if folder is not None else None
    if folder is None or plan is None:
        return None
    _, facts = plan
    request: ExportRequest = operator.export_request
    if request.config.dry_run:
        return None
    report = folder.summary() or {}
    vendor = VENDORS[facts.vendor]
    columns = columns_by_field(vendor, request)
    segments = segment_datasets(request)
    return OperatorLineage(
        inputs=[_segment(segment, columns) for segment in segments],
        outputs=[_audience(vendor, facts.audience, columns, segments, report)],
    )


def columns_by_field(vendor: Vendor, request: ExportRequest) -> dict[str, str]:
    """Return the segment's columns by the vendor's field that each feeds."""
    columns = {
        rule.key: column for field, column in request.config.field_mapping.items() for rule in vendor.rules_for(field)
    }
    return {**columns, **request.config.custom_fields}


def segment_datasets(request: ExportRequest) -> list[tuple[str, str]]:
    """Return namespace and name of each segment, by OpenLineage's rules and without the connection's id.

    The rules: https://openlineage.io/docs/spec/naming, read 2026-11. An undo and a frame have no segment.
    """
    if request.config.undo is not None or request.content:
        return []
    segment = request.config.segment
    return [segment_dataset(text) for text in ([segment] if isinstance(segment, str) else segment)]


def segment_dataset(text: str) -> tuple[str, str]:
    """Return namespace and name of a segment.

    `s3://connection@bucket/key` is `key` in `s3://bucket`; a local path has the namespace `file`. A table is named by
    its folder, or by its name in a catalog. A path is literal, so `?` and `#` in it belong to the name.
    """
    from airflow_provider_segexport.segment_files.snapshots import parse_table  # noqa: PLC0415 - imports pyarrow
    from airflow_provider_segexport.storage.file_url import local_text  # noqa: PLC0415

    kind, table = parse_table(text)
    if kind == "iceberg" and "/" not in table:
        return "iceberg", table
    text = table or text
    if (path := local_text(text)) is not None:
        return "file", path
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket.rpartition('@')[2]}", key.lstrip("/") or "/"


def _segment(dataset: tuple[str, str], columns: Mapping[str, str]) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415
        Dataset,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    namespace, name = dataset
    fields = [SchemaDatasetFacetFields(name=column) for column in dict.fromkeys(columns.values())]
    return Dataset(namespace=namespace, name=name, facets={"schema": SchemaDatasetFacet(fields=fields)})


def _audience(
    vendor: Vendor,
    audience: Audience,
    columns: Mapping[str, str],
    segments: Sequence[tuple[str, str]],
    report: Mapping[str, Any],
) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415
        ColumnLineageDatasetFacet,
        DocumentationDatasetFacet,
        Fields,
        InputField,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    def sources(column: str) -> list[Any]:
        return [InputField(namespace=namespace, name=name, field=column) for namespace, name in segments]

    lineage = {
        field: Fields(inputFields=sources(column), transformationType="IDENTITY", transformationDescription="")
        for field, column in columns.items()
    }
    counts, traffic = report.get("counts", {}), report.get("http", {})
    return OutputDataset(
        namespace=f"{vendor.name}://{audience.account}",
        name=audience.audience,
        facets={
            "schema": SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name=field) for field in columns]),
            "columnLineage": ColumnLineageDatasetFacet(fields=lineage),
            "documentation": DocumentationDatasetFacet(
                description=f"{vendor.title} {vendor.audience_noun} {audience.audience_name!r}"
            ),
        },
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(
                rowCount=counts.get("delivered"), size=traffic.get("bytes_sent")
            )
        },
    )
