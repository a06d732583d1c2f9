"""A sender with a list of responses in place of the vendor, and a clock that only its sleeps move."""

from __future__ import annotations

import requests
import requests_mock
from core.factories import PLAIN

from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Request

URL = "https://plain.test/people"
NOW = 1_767_225_600.0
PERSON = Request("GET", URL, query={"email": "jane.secret@example.com"})


class SenderHarness:
    """A sender with a list of responses in place of the vendor, and a clock that only its sleeps move."""

    def __init__(self, answers, vendor=PLAIN, **options):
        self.adapter = requests_mock.Adapter()
        self.adapter.register_uri(requests_mock.ANY, requests_mock.ANY, answers)
        self.slept = []
        self.sessions = []
        self.send = Sender(self.session, vendor, sleep=self.sleep, clock=lambda: NOW + sum(self.slept), **options)

    def session(self):
        session = requests.Session()
        session.auth = ("key", "s3cret-word")
        session.mount("https://", self.adapter)
        self.sessions.append(session)
        return session

    def sleep(self, seconds):
        self.slept.append(seconds)

    @property
    def calls(self):
        return self.adapter.request_history


OK = {"json": {"fine": True}}
