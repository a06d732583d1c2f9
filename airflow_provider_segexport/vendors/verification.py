"""The reads with which a verification compares an audience with its ledger; part of the vendor contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.member_pages import ReadPart
from airflow_provider_segexport.vendors.member_record import MemberRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Reads an audience in parts, and single people.

    Attributes:
        read_members: reads one part of the audience's members; see `member_pages.ReadPart`.
        page_size: members in one part; None if a few calls read an audience of any size.
        read_optouts: reads one part of all opt-outs of the audience and the account.
        read_record: reads one person by address.
        sent_values: the values of an encoded item, by the keys of the person's record.
    """

    read_members: ReadPart
    page_size: int | None
    read_optouts: ReadPart
    read_record: Callable[[Audience, str], Operation[MemberRecord]]
    sent_values: Callable[[Audience, Mapping[str, Any]], Mapping[str, str]]
