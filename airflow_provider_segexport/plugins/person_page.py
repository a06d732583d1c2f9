"""Builds the page *Find a person*: `address in a form -> the person's records in each audience`.

The address is in the body of a POST request and in the response, which no cache may store. It is in no URL and no log.
Nothing is written. An audience is searched if the user may download the rejected rows of a DAG that has exported to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request, status
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.hooks.paths import resolve, state_path
from airflow_provider_segexport.person.explain import state_text
from airflow_provider_segexport.person.lookup import Audience, Match, look_up
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.requests import is_one_address
from airflow_provider_segexport.plugins import audiences
from airflow_provider_segexport.plugins.audiences import AudienceOverview, RunIdentity
from airflow_provider_segexport.plugins.pages import audience_address, render
from airflow_provider_segexport.plugins.permissions import Rights, UserRights
from airflow_provider_segexport.plugins.unread import Unread

FORM_POLICY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
}
"""The policy of all pages, except that this page has a form."""

MAX_BODY_BYTES = 4096
"""Longest body of a request: an address has at most 254 characters, and a form encodes each in up to twelve bytes."""

SAME_SITE = frozenset({"same-origin", "none"})
"""Values of the header `Sec-Fetch-Site` if the form was sent from this page, or the user entered the URL. Old browsers
do not send the header."""

NO_RIGHTS = (
    "There is no audience in which you may look up people. By default only users who may edit a DAG that exports to an "
    "audience may; the option [segexport] rejects_permission changes this."
)
NO_ADDRESS = "This is not an email address: it has no @."
NOT_ALONE = "This is more than one email address alone. Enter one address, without a name and other characters."
TOO_LONG = "This is too long for an email address."


@dataclass(frozen=True, slots=True)
class Row:
    """One audience with records of the person.

    Attributes:
        address: of the audience's page.
        state: the person's state in the ledger, in words.
        hash: hash of the person's values, in hexadecimal digits; empty if there is none.
        run: DAG and run that wrote the person's values last; empty if the user may not see it.
    """

    audience: AudienceOverview
    match: Match
    address: str
    state: str
    hash: str
    run: str


def form(user: UserRights) -> HTMLResponse:  # noqa: ARG001 - the page requires a login
    """Show the form."""
    return _page({})


async def result(request: Request, user: UserRights) -> HTMLResponse:
    """Show the person's records.

    Args:
        request: its body has the field `email`.
        user: the rights that decide which audiences are searched.
    """
    if request.headers.get("sec-fetch-site", "none") not in SAME_SITE:
        return _page({"error": "This form was sent from another site."}, status.HTTP_403_FORBIDDEN)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            return _page({"error": TOO_LONG}, status.HTTP_400_BAD_REQUEST)
    email = parse_qs(body.decode("utf-8", "replace")).get("email", [""])[0].strip()
    try:
        person = Person.of(email)
    except InvalidSegment:
        return _page({"email": email, "error": NO_ADDRESS}, status.HTTP_400_BAD_REQUEST)
    if not is_one_address(email):
        return _page({"email": email, "error": NOT_ALONE}, status.HTTP_400_BAD_REQUEST)
    values = await run_in_threadpool(search, person, user)
    if not values["audiences"] and not values["unread"]:
        return _page({"email": email, "error": NO_RIGHTS}, status.HTTP_403_FORBIDDEN)
    return _page({**values, "email": email})


def search(person: Person, user: Rights) -> dict[str, Any]:
    """Return the template's values about a person.

    Args:
        person: the person to look up.
        user: the rights that decide which audiences are searched.
    """
    root, may_search = state_path(), _may_search(user)
    unread: Unread = []
    overviews = audiences.list_audiences(root, may_search, unread)
    paths = [(overview, overview.key.path(root)) for overview in overviews]
    searched = [(overview, path) for overview, path in paths if path is not None]
    matches = look_up([Audience(path, _runs(overview)) for overview, path in searched], person, resolve)
    pairs = [(overview, match) for (overview, _), match in zip(searched, matches, strict=True)]
    rows = [_row(overview, match, may_search) for overview, match in pairs if match.row or match.missed]
    return {
        "audiences": len(overviews),
        "rows": sorted(rows, key=lambda row: (row.audience.name.lower(), row.audience.key.vendor)),
        "unsearched": [overview.name for overview, match in pairs if not match.searched],
        "unreadable": [overview.name for overview, match in pairs if not match.readable],
        "unread": len(unread),
        "without_rejects": sum(not match.rejects_read for _, match in pairs),
    }


def _page(values: Mapping[str, Any], code: int = status.HTTP_200_OK) -> HTMLResponse:
    empty = {"rows": None, "audiences": 0, "unsearched": (), "unreadable": (), "unread": 0, "without_rejects": 0}
    shown = {"title": "Find a person", "email": "", "error": "", **empty, **values}
    return HTMLResponse(render("person.html", shown), code, dict(FORM_POLICY))


def _may_search(user: Rights) -> Callable[[RunIdentity], bool]:
    """Return a function that says whether the user may read the rejected rows of a run: never those outside any DAG."""
    dags: dict[str, bool] = {}

    def may_search(run: RunIdentity) -> bool:
        if run.dag_id not in dags:
            dags[run.dag_id] = bool(run.dag_id) and user.can_see_run(run) and user.can_download_rejects(run.dag_id)
        return dags[run.dag_id]

    return may_search


def _runs(overview: AudienceOverview) -> list[dict[str, str]]:
    """Return the newest run with its run folder, in the form that `look_up` takes; empty without a run."""
    return [
        {
            "run": f"{point.identity.dag_id}/{point.identity.run_id}",
            "as_of": point.as_of,
            "run_folder": point.run_folder,
        }
        for point in overview.points[-1:]
    ]


def _row(overview: AudienceOverview, match: Match, may_search: Callable[[RunIdentity], bool]) -> Row:
    row = match.row or {}
    run = RunIdentity.read(str(row.get("run") or ""))
    row_hash = row.get("row_hash")
    return Row(
        overview,
        match,
        audience_address(overview.key),
        state=state_text(row),
        hash="" if row_hash is None else f"{row_hash:016x}",
        run=f"{run.dag_id} · {run.run_id}" if run is not None and may_search(run) else "",
    )
