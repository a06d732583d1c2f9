"""What OpenLineage is told of an export: `segment -> audience`, column by field.

The OpenLineage provider asks for it, where there is one; without it nothing here is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_segexport.operators.links import folder_of

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest
    from airflow_provider_segexport.model import Audience
    from airflow_provider_segexport.vendors.base import Vendor


def on_complete(operator: Any, task_instance: Any) -> Any:  # noqa: ARG001 - as OpenLineage calls it
    """The datasets of a run that has ended, well or not; None where it came to no plan, or was a dry run."""
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415

    folder = folder_of(operator)
    plan = folder.plan() if folder is not None else None
    if folder is None or plan is None:
        return None
    _, facts = plan
    request: ExportRequest = operator._errand  # noqa: SLF001 - what the task was told is the task's
    if request.config.dry_run:
        return None
    report = folder.summary() or {}
    vendor = VENDORS[facts.vendor]
    columns = fed(vendor, request)
    segments = places(request)
    return OperatorLineage(
        inputs=[_segment(place, columns) for place in segments],
        outputs=[_audience(vendor, facts.audience, columns, segments, report)],
    )


def fed(vendor: Vendor, request: ExportRequest) -> dict[str, str]:
    """The segment's column by the vendor's field that it feeds."""
    found = {
        rule.key: column for field, column in request.config.field_mapping.items() for rule in vendor.rules_for(field)
    }
    return {**found, **request.config.custom_fields}


def places(request: ExportRequest) -> list[tuple[str, str]]:
    """Namespace and name of each segment, as OpenLineage names files; the connection's id is no part of it.

    https://openlineage.io/docs/spec/naming, read 2026-11.
    """
    if request.config.undo is not None:
        return []
    segment = request.config.segment
    return [place(text) for text in ([segment] if isinstance(segment, str) else segment)]


def place(text: str) -> tuple[str, str]:
    """`s3://connection@bucket/key` is `key` in `s3://bucket`, and a local path is itself in `file`.

    A table is its folder, or its name in a catalog.
    """
    from airflow_provider_segexport.segment_files.snapshots import table_of  # noqa: PLC0415 - brings pyarrow

    kind, table = table_of(text)
    if kind == "iceberg" and "/" not in table:
        return "iceberg", table
    text = table or text
    parts = urlsplit(text)
    if parts.scheme in {"", "file"}:
        return "file", parts.path or text
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/") or "/"


def _segment(where: tuple[str, str], columns: Mapping[str, str]) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415
        Dataset,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    namespace, name = where
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
