"""Runs a vendor's operations, and defines the defaults of a vendor without jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import REPORT_IT, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchResult,
    JobState,
    Operation,
    Request,
    Response,
    Sleep,
    T,
)
from airflow_provider_segexport.vendors.repeated_reads import RepeatedReads


def no_poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """Default of `poll`, for a vendor without jobs."""
    raise UnexpectedResponse(
        f"Cannot poll {counted(len(job_ids), 'job')} at {audience.base_url}: this vendor has no jobs. {REPORT_IT}"
    )
    yield  # a generator, as every operation is


def no_collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Default of `collect`, for a vendor without jobs.

    Args:
        audience: the audience.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    raise UnexpectedResponse(
        f"Cannot collect job {job_id} of batch {batch.id} at {audience.base_url}: this vendor has no jobs. {REPORT_IT}"
    )
    yield  # a generator, as every operation is


def run_operation(
    operation: Operation[T], send: Callable[[Request], Response], sleep: Callable[[float], None] = time.sleep
) -> T:
    """Run an operation: send the requests that it yields, pass the responses back, and return its result.

    Args:
        operation: yields `Request` and `Sleep`.
        send: sends a request and returns its response.
        sleep: waits for a number of seconds.

    Raises:
        UnexpectedResponse: a response lacks a member that the vendor documents, or has it in another type.
        VendorUnavailable: an error response is a web page, which says nothing about account, audience or people.
    """
    reads = RepeatedReads()
    try:
        request = next(operation)
        while True:
            reads.watch(request)
            if isinstance(request, Sleep):
                sleep(request.seconds)
                request = next(operation)
                continue
            response = send(request)
            if response.is_web_page():
                raise VendorUnavailable(
                    f"{response.url} answered {response.status} with a web page instead of JSON. To fix: check the "
                    "connection's base URL and any proxy or firewall; if the vendor is in maintenance, wait."
                )
            try:
                request = operation.send(response)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
                # The error's text may quote personal data from the response, so the message names its type alone.
                raise UnexpectedResponse(
                    f"{response.url} answered {response.status} with JSON of an unexpected form "
                    f"({type(error).__name__}). To fix: run the task again later; if the error remains, report it to "
                    "the vendor's support."
                ) from None
    except StopIteration as finished:
        result: T = finished.value
        return result
