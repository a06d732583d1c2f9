"""Responses in Omnisend's format, and the audience that they describe."""

from __future__ import annotations

import json

from airflow_provider_segexport.model import Audience, Response

API = "https://om.test/api"
TARGET = Audience(
    base_url=API,
    account="b1",
    account_name="Shop",
    audience="Customers",
    extra={"since": "2025-12-31", "tags_on_upsert": "merge"},
)
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
BRAND = {"brandID": "b1", "name": "Shop"}


def reply(body, status=200, **headers):
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-type": "application/json", **named}, content, f"{API}/x")


def problem(status, *fields, **more):
    errors = [{"field": field, "code": "invalid", "message": "Is wrong"} for field in fields]
    return {"type": f"https://problems.omnisend.com/p{status}", "title": "No", "detail": "It is wrong.", **more} | (
        {"errors": errors} if errors else {}
    )
