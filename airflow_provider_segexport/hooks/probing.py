"""Connects a probe with Airflow: `session, audience -> context, and the audience's lease`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import AudienceLocked
from airflow_provider_segexport.fencing import fenced_also
from airflow_provider_segexport.hooks.holding import hold_audience
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.hooks.task_state import is_holder_gone, is_task_running
from airflow_provider_segexport.probe.planning import ProbeContext
from airflow_provider_segexport.storage.account_record import account_of
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors import audience_names
from airflow_provider_segexport.vendors.operations import run_operation

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession

KIND = "probe"
"""The operation in the name of a lease's holder: `segexport/probe/<detail>`."""

DETAIL_PARTS = 4
"""Parts of the detail, separated by colons: host, namespace of process ids, process id, random digits."""


@contextmanager
def open_probe(session: VendorSession, audience: str, say: Callable[[str], None]) -> Iterator[ProbeContext]:
    """Check the connection, read the audience, and yield the probe's context.

    Args:
        session: the account.
        audience: the vendor's id of the test audience, or `name:` and its exact name.
        say: shows a line of progress.

    Raises:
        ExportsDisabled: exports through the connection are disabled.
        ConnectionNotAllowed: the connection has no consent.
        AudienceNotFound: the account has no such audience.
    """
    session.settings.check_enabled()
    client = session.http_client()
    run = partial(run_operation, send=client, sleep=session.interruptible_sleep)
    try:
        yield ProbeContext(
            vendor=session.vendor,
            audience=audience_names.resolve_audience(session.vendor, session.settings.endpoint, audience, run),
            state_root=state_path(),
            run=run,
            calls=lambda: client.traffic.calls,
            clock=session.clock,
            sleep=session.interruptible_sleep,
            say=say,
        )
    finally:
        client.close()


@contextmanager
def hold_for_probe(session: VendorSession, context: ProbeContext) -> Iterator[None]:
    """Be the only probe of the account, and the only writer of the test audience.

    The account has one probe at a time, because two probes with the same addresses in two audiences would change each
    other's answers. If the process of a probe has died, its locks do not block another probe.

    Raises:
        AudienceLocked: another probe of the account runs, or an export is writing the audience.
    """
    detail = f"{process_name()}:{os.urandom(4).hex()}"
    with (
        _hold_account(session, context, detail) as account,
        hold_audience(session, context.audience, KIND, detail=detail, is_running=_is_running),
        fenced_also(account.check),
    ):
        yield


@contextmanager
def _hold_account(session: VendorSession, context: ProbeContext, detail: str) -> Iterator[Lease]:
    """Hold the lock of the account's probes. After a probe that died, wait until its last calls have ended."""
    audience = context.audience
    account = account_of(audience) or audience.account
    lease = Lease(
        context.state_root / "probing" / context.vendor.name / safe_name(account),
        f"segexport/{KIND}/{detail}",
        clock=session.clock,
        sleep=session.interruptible_sleep,
        is_task_running=_is_running,
        is_holder_gone=is_holder_gone,
    )
    try:
        lease.acquire()
    except AudienceLocked as locked:
        raise AudienceLocked(
            f"Another probe of the {context.vendor.title} account {audience.account_name!r} runs ({locked.holder}). "
            "Two probes would change each other's answers. Nothing was sent.",
            holder=locked.holder,
            retry_after_s=locked.retry_after_s or 0.0,
        ) from None
    try:
        if lease.unclean and context.leftovers.read() is None:  # with a leftover, `undo_leftover` waits
            context.say("An earlier probe of this account was killed. Waiting until its last calls have ended.")
            context.sleep(longest_call_s(context.vendor))
        lease.unclean = False
        yield lease
    finally:
        lease.release()


def process_name() -> str:
    """Return the name of this process: host, namespace of process ids, process id."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    return f"{socket.gethostname()}:{namespace}:{os.getpid()}"


def _is_running(owner: str) -> bool | None:
    """Return whether a lease's holder runs; None if unknown. A probe of this machine is known by its process id."""
    prefix, _, detail = owner.rpartition("/")
    parts = detail.split(":")
    if not prefix.endswith(KIND) or len(parts) != DETAIL_PARTS:
        return is_task_running(owner)
    host, namespace, process_id, _ = parts
    own_host, own_namespace, _ = process_name().split(":")
    if (host, namespace) != (own_host, own_namespace) or not namespace or not process_id.isdigit():
        return None
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return None
    return True
