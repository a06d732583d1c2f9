"""Resolves the audience of a run once, and creates a missing one: `audience argument -> audience at the vendor`.

Ledger, lease and plan go by the vendor's id. A name is looked up in a run's first try, and the run folder keeps the id,
so a list that is renamed between two tries never moves the run to another audience.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    InvalidArgument,
    UnexpectedResponse,
    VendorUnavailable,
    clean_text,
)
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.paths import exists
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_as, write_json
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors import audience_names as names
from airflow_provider_segexport.vendors.directory import AudienceDirectory, AudienceEntry, name_in, shown_name

log = logging.getLogger(__name__)

FILE = "audience.json"
CREATED_AS = "created_as"
"""Key of `Audience.extra`: the name under which this run created the audience."""
LATE_RESULT_S = 10.0
"""Seconds to wait after a creation without a clear response, before the vendor's list is read again."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The audience of a run, as the run folder keeps it.

    Attributes:
        audience: the `audience` argument, which begins with `name:`.
        id: the vendor's id; empty while the audience is being created.
        created: whether this run has created the audience, or has tried to.
    """

    audience: str
    id: str = ""
    created: bool = False


def resolve(context: ExportContext) -> Audience:
    """Return account and audience as the vendor reports them.

    Returns:
        The audience. If it does not exist and the export may create it, its id is `MISSING_ID`.

    Raises:
        AudienceNotFound: the account has no such audience, or no longer has the one of the run's first try.
        InvalidArgument: the name cannot be used, or several audiences have it.
    """
    vendor, given, folder = context.vendor, context.config.audience, context.environment.run_folder
    name = name_in(given)
    if context.config.create_audience and name is None and vendor.directory is not None:
        raise InvalidArgument(
            f"`create_audience` needs a name, and `audience` is an id ({given!r}). Nothing was sent. To fix: write "
            f"`audience='name:Newsletter'` with the name of the {vendor.audience_noun}, or leave `create_audience` out."
        )
    if name is None or vendor.directory is None:
        return names.resolve_audience(vendor, context.endpoint, given, context.run_operation)
    stored = _stored(folder, given)
    if stored.id:
        return _by_stored_id(context, stored, name)
    names.check_name(vendor, name)
    account = context.run_operation(vendor.resolve_audience(context.endpoint, None))
    entries = context.run_operation(vendor.directory.list_audiences(account, False))  # noqa: FBT003 - a callable's
    entry = names.find(vendor, account, entries, name)
    if entry is not None:
        return _keep(context, replace(stored, id=entry.id), name)
    if context.config.create_audience:
        names.check_name(vendor, name, is_new=True)
        return names.describe_missing(vendor, account, name, context.run_operation)
    raise names.not_found(vendor, account, entries, name)


def create(context: ExportContext, missing: Audience) -> Audience:
    """Create an audience, unless another task has done so, and return it as the vendor reports it.

    One task at a time looks for the name and creates the audience. If the response to the creation is lost, the
    vendor's list is read again. If the audience is not in it, the next try reads the list before it creates one.

    Args:
        context: the run.
        missing: the missing audience that `resolve` returned.

    Raises:
        AudienceLocked: another task is creating it.
        RetryableError: it is unknown whether the audience was created.
    """
    vendor, given, folder = context.vendor, context.config.audience, context.environment.run_folder
    directory, name = vendor.directory, name_in(given) or ""
    assert directory is not None  # noqa: S101 - without a directory no audience is missing
    with _creating(context, missing, name) as leased:
        account = leased.run_operation(vendor.resolve_audience(leased.endpoint, None))
        entry = _find(leased, directory, account, name)
        if entry is not None:
            return _keep(context, replace(_stored(folder, given), id=entry.id), name)
        resolved = Resolved(given, created=True)
        write_json(folder.path / FILE, asdict(resolved))
        audience_id = _create(leased, directory, account, name)
        log.info("Creating a %s (name=%s id=%s)", vendor.audience_noun, shown_name(name), audience_id)
        return _keep(context, replace(resolved, id=audience_id), name)


def _create(context: ExportContext, directory: AudienceDirectory, account: Audience, name: str) -> str:
    """Send the call that creates the audience. If the result is unclear, check whether the audience exists."""
    try:
        return context.run_operation(directory.create(account, name))
    except (VendorUnavailable, UnexpectedResponse):
        context.environment.sleep(LATE_RESULT_S)
        entry = _find(context, directory, account, name)
        if entry is None:
            raise
    except InvalidArgument:  # the vendor has the name already
        entry = _find(context, directory, account, name)
        if entry is None:
            raise
    return entry.id


def as_missing(audience: Audience) -> Audience | None:
    """Return an audience as it was before this run created it; None if this run has not created it."""
    name = audience.extra.get(CREATED_AS)
    return None if name is None else replace(audience, audience=names.MISSING_ID, audience_name=name, member_count=0)


def _find(context: ExportContext, directory: AudienceDirectory, account: Audience, name: str) -> AudienceEntry | None:
    entries = context.run_operation(directory.list_audiences(account, False))  # noqa: FBT003 - a callable's argument
    return names.find(context.vendor, account, entries, name)


@contextmanager
def _creating(context: ExportContext, missing: Audience, name: str) -> Iterator[ExportContext]:
    """Hold the lock for creating an audience of this name; each call is sent only while the lock is held."""
    environment = context.environment
    root = environment.state_root / "creating" / context.vendor.name
    lease = context.lease(root / safe_name(missing.account) / safe_name(unicodedata.normalize("NFC", name)))
    lease.acquire()
    try:
        if lease.unclean:  # its holder may have died in the call that creates
            environment.sleep(longest_call_s(context.vendor))
        lease.unclean = False
        yield replace(context, fence=lease)
    finally:
        lease.release()


def _by_stored_id(context: ExportContext, stored: Resolved, name: str) -> Audience:
    try:
        audience = context.run_operation(context.vendor.resolve_audience(context.endpoint, stored.id))
    except AudienceNotFound as error:
        raise AudienceNotFound(
            f"{error} The run's first try looked up the name {shown_name(name)} and got this id, and a run "
            "never changes its audience. To use another one: trigger a new DAG run."
        ) from None
    if audience.audience_name != clean_text(name):
        log.warning(
            "Using the audience of the run's first try, which has another name now (audience=%s id=%s)", name, stored.id
        )
    write_json(context.environment.run_folder.path / FILE, asdict(stored))  # also in the folder of a new plan
    return _with_origin(audience, stored, name)


def _keep(context: ExportContext, resolved: Resolved, name: str) -> Audience:
    """Store the id in the run folder, and return the audience."""
    write_json(context.environment.run_folder.path / FILE, asdict(resolved))
    audience = context.run_operation(context.vendor.resolve_audience(context.endpoint, resolved.id))
    return _with_origin(audience, resolved, name)


def _with_origin(audience: Audience, resolved: Resolved, name: str) -> Audience:
    return replace(audience, extra={**audience.extra, CREATED_AS: name}) if resolved.created else audience


def _stored(folder: RunFolder, given: str) -> Resolved:
    """Return the audience that this run has resolved before, also under a plan that it has discarded.

    After a finished run, nothing is kept: a task that is cleared after success looks the name up again.
    """
    earlier = RunFolder(folder.path.parent / f"{int(folder.path.name) - 1:02d}")
    for path in (folder.path / FILE, earlier.path / FILE):
        if exists(path):
            if path.parent == earlier.path and (earlier.summary() or {}).get("finished"):
                continue
            resolved = read_as(path, Resolved)
            if resolved.audience == given:
                return resolved
    return Resolved(given)
