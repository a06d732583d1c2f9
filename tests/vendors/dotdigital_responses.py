"""Responses in dotdigital's format, and the address book that they describe."""

from __future__ import annotations

import json

from airflow_provider_segexport.model import Audience, Response

TARGET = Audience(base_url="https://dd.test", account="1", account_name="Shop", audience="42")


def reply(body, status=200, **headers):
    return Response(
        status, {"content-type": "application/json", **headers}, json.dumps(body).encode(), "https://dd.test/x"
    )
