"""A server with minimal responses in the formats of the four vendors. It uses little CPU.

The sink stores no people. It accepts each import, counts its rows by a marker in the body, and reports its job as
ended. dotdigital's report lists the addresses of the body. `GET /_sink` returns the counters, `DELETE /_sink` resets
them. Run `python benchmarks/sink.py [SECONDS]`; it prints its URL. Each response takes the given seconds, by default 0.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

LIST_32 = "0123456789abcdef0123456789abcdef"
LIST_UUID = "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a"
NAMES = ("Gender", "Postcode", "Address", "City", "State", "Country", "Phone", "Birthdate")
CUSTOM = ("loyalty_tier", "orders")

EMAIL = re.compile(rb'"identifiers":\{"email":"([^"]+)"')
ROW_MARKS = {
    "campaign_monitor": b'{"EmailAddress":',
    "constant_contact": b'{"email":',
    "dotdigital": b'"matchIdentifier":',
    "omnisend": b'"identifiers":',
}

TAG_EXPERIMENT = b'"segexport check '
TAG = re.compile(rb'"tags":\["([^"]+)","([^"]+)"\]')
"""Matches the tags of the person that an export uses to test whether Omnisend merges tags. The sink merges them."""

Answer = tuple[int, Any]


class Sink:
    """Counters of the received calls, and the responses."""

    def __init__(self) -> None:
        self.base = ""
        self.forget()

    def forget(self) -> None:
        """Reset all counters."""
        self.calls: dict[str, int] = {}
        self.rows = self.bytes = self.imports = 0
        self.first_import: float | None = None
        self.last: float | None = None
        self.jobs: dict[str, bytes] = {}
        self.ended: list[str] = []
        self.experiment_tags: set[bytes] = set()

    def counters(self) -> dict[str, Any]:
        """Return the counters; times are of the machine's monotonic clock."""
        names = ("calls", "rows", "bytes", "imports", "first_import", "last")
        return {name: getattr(self, name) for name in names}

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """Return status and JSON of one call.

        Args:
            method: HTTP method.
            path: path of the URL; its first part is the vendor.
            query: query of the URL.
            body: body of the request.
        """
        if path == "/_sink":
            if method == "DELETE":
                self.forget()
            return 200, self.counters()
        self.last = time.monotonic()
        vendor, _, rest = path.strip("/").partition("/")
        self.calls[vendor] = self.calls.get(vendor, 0) + 1
        if vendor == "peer":
            self._imported("campaign_monitor", body)
            return 200, {"FailureDetails": []}
        return VENDORS[vendor](self, method, rest, query, body)

    def _imported(self, vendor: str, body: bytes) -> None:
        if self.first_import is None:
            self.first_import = self.last
        self.imports += 1
        self.rows += body.count(ROW_MARKS[vendor])
        self.bytes += len(body)

    def _campaign_monitor(self, method: str, path: str, query: str, body: bytes) -> Answer:
        del query
        if method == "POST":
            self._imported("campaign_monitor", body)
            return 201, {"FailureDetails": [], "TotalUniqueEmailsSubmitted": 0, "DuplicateEmailsInSubmission": []}
        if path.endswith("clients.json"):
            return 200, [{"ClientID": LIST_32, "Name": "Benchmark"}]
        if path.endswith("stats.json"):
            return 200, {"TotalActiveSubscribers": 0}
        if path.endswith(("active.json", "unsubscribed.json", "bounced.json")):
            return 200, {"Results": [], "NumberOfPages": 0}
        if path.endswith("customfields.json"):
            keys = {"orders": "Number", "Birthdate": "Date"}
            return 200, [
                {"FieldName": name, "Key": f"[{name}]", "DataType": keys.get(name, "Text")}
                for name in (*NAMES, *CUSTOM)
            ]
        return 200, {"ListID": LIST_32, "Title": "Benchmark", "ConfirmedOptIn": False}

    def _constant_contact(self, method: str, path: str, query: str, body: bytes) -> Answer:  # noqa: PLR0911 - by path
        del query
        if "contact_exports" in path or path.endswith(f"activities/{EXPORT}"):
            return self._empty_export(path)
        if method == "POST":
            self._imported("constant_contact", body)
            rows = body.count(ROW_MARKS["constant_contact"])
            job = f"{len(self.ended):08d}-0000-4000-8000-000000000000"
            self.ended.append(job)
            self.jobs[job] = str(rows).encode()
            return 201, {"activity_id": job, "state": "initialized"}
        if "account/summary" in path:
            return 200, {"organization_name": "Benchmark"}
        if "privileges" in path:
            return 200, [{"privilege_name": "contacts:write"}]
        if "contact_custom_fields" in path:
            types = {"orders": "number", "Birthdate": "date"}
            return 200, {
                "custom_fields": [
                    {"name": name, "label": name, "type": types.get(name, "string")} for name in (*NAMES, *CUSTOM)
                ]
            }
        if "contact_lists" in path:
            return 200, {"list_id": LIST_UUID, "name": "Benchmark", "membership_count": 0}
        if path.endswith("activities"):
            return 200, {"activities": [self._activity(job) for job in reversed(self.ended[-500:])], "_links": {}}
        if path.endswith("contacts"):
            return 200, {"contacts": [], "_links": {}}
        return 200, self._activity(path.rpartition("/")[2])

    def _empty_export(self, path: str) -> Answer:
        """Return the responses to an export of an empty list: start, end, file."""
        if path.endswith("contact_exports"):
            return 201, {"activity_id": EXPORT, "state": "initialized"}
        if path.endswith(EXPORT):
            links = {"results": {"href": "/v3/contact_exports/1"}}
            return 200, {"activity_id": EXPORT, "state": "completed", "_links": links}
        return 200, b"Email address,Email opted out at\n"

    def _activity(self, job: str) -> dict[str, Any]:
        rows = int(self.jobs[job])
        counters = {"items_total_count": rows, "person_count": rows, "error_count": 0, "correctable_count": 0}
        return {
            "activity_id": job,
            "state": "completed",
            "percent_done": 100,
            "activity_errors": [],
            "status": {**counters, "cannot_add_to_list_count": 0, "list_count": 1},
        }

    def _dotdigital(self, method: str, path: str, query: str, body: bytes) -> Answer:
        del query
        if method == "PUT":
            self._imported("dotdigital", body)
            job = f"{self.imports:08d}-0000-4000-8000-000000000000"
            self.jobs[job] = body
            return 200, {"importId": job}
        if "account-info" in path:
            properties = {"Name": "Benchmark", "ApiEndpoint": f"{self.base}/dotdigital"}
            return 200, {"id": 7, "properties": [{"name": name, "value": value} for name, value in properties.items()]}
        if path.endswith("contacts/v3"):
            return 200, {"_items": [], "_links": {}}
        if "address-books" in path:
            return 200, {"id": 42, "name": "Benchmark", "visibility": "Private", "contacts": 0}
        if "data-fields" in path:
            names = (*(name.upper() for name in NAMES), "FIRSTNAME", "LASTNAME", "FULLNAME", *CUSTOM)
            types = {"orders": "Numeric", "BIRTHDATE": "Date"}
            return 200, [{"name": name, "type": types.get(name, "String")} for name in names]
        job = path.rpartition("/")[2]
        return 200, self._report(job)

    def _report(self, job: str) -> bytes:
        """Return the report of a finished import with every contact; stored, because the client reads it repeatedly."""
        content = self.jobs[job]
        if not content.startswith(b'{"importId"'):
            contacts = [
                b'{"contactId":%d,"identifiers":{"email":"%b"}}' % (number, email)
                for number, email in enumerate(EMAIL.findall(content), start=1 + 10_000 * int(job[:8]))
            ]
            content = b'{"importId":"%b","status":"Finished","created":[%b],"updated":[],"failures":[]}' % (
                job.encode(),
                b",".join(contacts),
            )
            self.jobs[job] = content
        return content

    def _omnisend(self, method: str, path: str, query: str, body: bytes) -> Answer:
        if path.endswith("contacts/tags"):
            return 202, {}
        if method == "POST":
            return 202, {"batchID": self._omnisend_batch(body)}
        if "brands" in path:
            return 200, {"brandID": "5f0000000000000000000001", "name": "Benchmark"}
        if path.endswith("contacts"):
            return 200, {"contacts": self._experiment_contact(query), "paging": {}}
        if not path.endswith("batches"):
            return 200, self._batch(path.removesuffix("/items").rpartition("/")[2])
        parameters = dict(pair.split("=") for pair in query.split("&") if "=" in pair)
        start = int(parameters.get("offset", 0))
        newest = self.ended[::-1][start : start + int(parameters.get("limit", 250))]
        return 200, {"batches": [self._batch(job) for job in newest]}

    def _omnisend_batch(self, body: bytes) -> str:
        """Accept a batch, and return its id. The batches of an experiment are no part of the import."""
        if TAG_EXPERIMENT in body:
            self.experiment_tags.update(*TAG.findall(body))
            self.jobs["experiment"] = b"1"
            return "experiment"
        self._imported("omnisend", body)
        job = f"{self.imports:024x}"
        self.ended.append(job)
        self.jobs[job] = str(body.count(ROW_MARKS["omnisend"])).encode()
        return job

    def _experiment_contact(self, query: str) -> list[dict[str, Any]]:
        """Return the person of the experiment with tags, which are merged; no other person is ever listed."""
        email = dict(pair.split("=") for pair in query.split("&") if "=" in pair).get("email", "")
        if not email or not self.experiment_tags:
            return []
        return [{"id": "1", "email": unquote(email), "tags": [tag.decode() for tag in sorted(self.experiment_tags)]}]

    def _batch(self, job: str) -> dict[str, Any]:
        rows = int(self.jobs[job])
        return {"batchID": job, "status": "finished", "totalCount": rows, "finishedCount": rows, "errorsCount": 0}


EXPORT = "00000000-0000-4000-8000-000000000001"
"""The activity that exports an empty list."""

VENDORS: dict[str, Callable[[Sink, str, str, str, bytes], Answer]] = {
    "campaign_monitor": Sink._campaign_monitor,  # noqa: SLF001 - its own table
    "constant_contact": Sink._constant_contact,  # noqa: SLF001
    "dotdigital": Sink._dotdigital,  # noqa: SLF001
    "omnisend": Sink._omnisend,  # noqa: SLF001
}


async def serve(sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float = 0.0) -> None:
    """Serve one keep-alive connection.

    Args:
        sink: the counters and responses.
        reader: the connection's input.
        writer: the connection's output.
        delay_s: seconds that each response takes.
    """
    while head := await _head(reader):
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        status, response = sink.answer(method, path, query, body)
        if delay_s:
            await asyncio.sleep(delay_s)
        content = response if isinstance(response, bytes) else json.dumps(response).encode()
        writer.write(
            b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ndate: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (status, formatdate(usegmt=True).encode(), len(content), content)
        )
        await writer.drain()
    writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def main() -> None:
    """Serve until the process ends."""
    sink, delay_s = Sink(), float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    server = await asyncio.start_server(
        lambda reader, writer: serve(sink, reader, writer, delay_s), "127.0.0.1", limit=2**22
    )
    sink.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(f"{sink.base}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
