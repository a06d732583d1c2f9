"""`@task.segment_export`: exports what a function returns, a path or a frame."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    TaskDecorator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)
from airflow.sdk.bases.decorator import _TaskDecorator
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.operators.base import as_text
from airflow_provider_segexport.operators.documented import document_mapped
from airflow_provider_segexport.operators.mapped import DEFAULT_ARGS, keep_arguments
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest


class SegmentExportDecoratedOperator(DecoratedOperator, SegmentExportOperator):
    """Exports what a function returns: paths of Parquet files, an asset, or a frame.

    A frame is pandas, or anything with the Arrow C stream protocol: Polars, PyArrow, DuckDB. The task may defer. A
    task that resumes does not call the function again, because the plan in the run folder holds the rows. A retry calls
    the function, and continues the plan if the function returns the same segment.

    Args:
        python_callable: the function.
        op_args: its positional arguments.
        op_kwargs: its keyword arguments.
        kwargs: arguments of `SegmentExportOperator` except `segment`.
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *SegmentExportOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **SegmentExportOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.segment_export"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._content = ""
        self._returned: tuple[Any, ExitStack] | None = None
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            segment=SET_DURING_EXECUTION,
            **kwargs,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        """Call the function, and export what it returns. After a deferral, export the plan in the run folder."""
        if self._deferred_in:
            self._restore(self._deferred_in)
            return SegmentExportOperator.execute(self, context)
        context_merge(context, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, context)
        returned = self.python_callable(*self.op_args, **arguments)
        with ExitStack() as stack:
            self._returned = returned, stack
            return SegmentExportOperator.execute(self, context)

    def build_request(self, context: Any) -> ExportRequest:
        """Return the request of the run, from the function's result and the arguments after templates were rendered.

        Raises:
            InvalidSegment: the function has returned something that is no segment.
        """
        if self._returned is not None:
            (returned, stack), self._returned = self._returned, None
            stack.enter_context(self._segment(returned))
        return replace(super().build_request(context), content=self._content)

    @contextmanager
    def _segment(self, returned: Any) -> Iterator[None]:
        """Set the argument `segment` to the function's result during the block; a frame becomes a temporary file."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
        from airflow_provider_segexport.hooks.frames import as_file  # noqa: PLC0415

        if inspect.iscoroutine(returned) or inspect.isgenerator(returned):
            returned.close()
            raise InvalidSegment(
                f"The function of this task returned a {type(returned).__name__}. To fix: define it with `def`, and "
                "`return` a path, an Asset or a frame."
            )
        given = {**self.rendered_arguments(options.EXPORT), "segment": returned}
        with as_file(given) as (arguments, self._content):
            self.segment = as_text(arguments["segment"])
            try:
                yield
            finally:
                if self._content:
                    self.segment = self._content.partition(" ")[0]

    def _restore(self, run_folder: str) -> None:
        """Set the segment to that of the plan, which was made before the deferral.

        Raises:
            AirflowFailException: the file that names the segment cannot be read.
        """
        from airflow_provider_segexport.hooks.paths import resolve  # noqa: PLC0415 - imports the core
        from airflow_provider_segexport.hooks.run_folders import CONFIG_FILE, is_content  # noqa: PLC0415
        from airflow_provider_segexport.storage.json_file import read_object  # noqa: PLC0415
        from airflow_provider_segexport.storage.paths import exists  # noqa: PLC0415

        folder = resolve(run_folder)
        segment: Any = (read_object(folder / CONFIG_FILE) or {}).get("segment")
        if not isinstance(segment, str | list) and exists(folder):
            raise AirflowFailException(
                f"The task resumes after a deferral, but {folder / CONFIG_FILE}, which names the segment of its plan, "
                "cannot be read. Nothing more was sent. To fix: clear the task; it calls the function again, and first "
                "reads what was sent."
            )
        segment = segment or run_folder  # the run folder is missing, which `check_plan_folder` reports later
        self._content = segment if is_content(segment) else ""
        self.segment = segment


class SegmentExportTask(_TaskDecorator[Any, Any, SegmentExportDecoratedOperator]):
    """A decorated function. Airflow maps it without creating an operator, so this class documents the mapped task."""

    def expand(self, **kwargs: Any) -> Any:
        """Map the task over arguments of the function."""
        return self._documented(_TaskDecorator.expand(self, **kwargs))

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """Map the task over groups of arguments of the function."""
        return self._documented(_TaskDecorator.expand_kwargs(self, kwargs, strict=strict))

    def _documented(self, output: Any) -> Any:
        """Document the task of an output, and let cluster policies set its arguments. Return the output.

        The documentation is the function's docstring, if it has one.
        """
        task = keep_arguments(output.operator, self.kwargs.get(DEFAULT_ARGS))
        owners = {"dag": task.dag, "task_group": task.task_group, "python_callable": self.function}
        document_mapped(task.partial_kwargs, {**self.kwargs, **owners}, SegmentExportDecoratedOperator.describe)
        return output


def segment_export_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a function the segment of an export.

    Args:
        python_callable: the function.
        kwargs: arguments of `SegmentExportOperator` except `segment`.
    """
    decorate = task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=SegmentExportDecoratedOperator, **kwargs
    )
    if python_callable is None:
        return cast("TaskDecorator", lambda function: _mapped_too(decorate(function)))
    return _mapped_too(decorate)  # type: ignore[no-any-return]


def _mapped_too(task: Any) -> Any:
    """Return a decorated function that is also documented if it is mapped."""
    return SegmentExportTask(
        function=task.function,
        multiple_outputs=task.multiple_outputs,
        operator_class=task.operator_class,
        kwargs=task.kwargs,
    )
