"""Parser of multipart forms; it returns the position of each part, so that large files are not copied."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

from .errors import invalid

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its file name, and the start and end of its content in the body, in bytes."""

    file_name: str
    start: int
    end: int

    def text(self, body: bytes) -> str:
        """Return the content as text."""
        return body[self.start : self.end].decode("utf-8", "replace")


def read_parts(call: Call) -> dict[str, Part]:
    """Return the parts by name; of several parts with the same name, the last is used."""
    boundary = _parameter("content-type", call.headers["content-type"], "boundary")
    if not boundary:
        raise invalid("The multipart boundary is missing")
    body, mark = call.body, b"--" + boundary.encode()
    parts: dict[str, Part] = {}
    at = body.find(mark)
    while at >= 0:
        head_end = body.find(b"\r\n\r\n", at)
        following = body.find(b"\r\n" + mark, head_end)
        if head_end < 0 or following < 0:
            break
        head = body[at + len(mark) : head_end].decode("utf-8", "replace")
        disposition = next((line for line in head.splitlines() if line.lower().startswith("content-disposition")), "")
        value = disposition.partition(":")[2].strip()
        name = _parameter("content-disposition", value, "name")
        parts[name] = Part(_parameter("content-disposition", value, "filename"), head_end + 4, following)
        at = following + 2
    return parts


def _parameter(header: str, value: str, name: str) -> str:
    message = Message()
    message[header] = value
    parameter = message.get_param(name, "", header)
    return parameter if isinstance(parameter, str) else parameter[2]
