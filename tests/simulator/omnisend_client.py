"""A client of the simulated Omnisend that holds every reply to the names and types of its OpenAPI."""

from __future__ import annotations

import requests

TEXT, INTEGER, YES_NO, MANY, THING = str, int, bool, list, dict
# Names and types of the OpenAPI of 2026-03-15 (contacts, batches, brands, segments), read 2026-08.
SHAPES = {
    "contact": {
        **dict.fromkeys(("id", "email", "firstName", "lastName", "address", "city", "state", "postalCode"), TEXT),
        **dict.fromkeys(("country", "countryCode", "gender", "birthdate", "status", "createdAt", "updatedAt"), TEXT),
        **dict.fromkeys(("phone", "identifiers", "tags", "segments", "statuses", "consents", "optIns"), MANY),
        "customProperties": THING,
    },
    "identifier": {"type": TEXT, "id": TEXT, "channels": THING},
    "batch": {
        **dict.fromkeys(("batchID", "endpoint", "method", "origin", "status", "createdAt"), TEXT),
        **dict.fromkeys(("startedAt", "endedAt", "eventID"), TEXT),
        **dict.fromkeys(("totalCount", "finishedCount", "errorsCount"), INTEGER),
        "errors": MANY,
        "responses": MANY,
    },
    "item": {"itemID": TEXT, "request": object, "response": object, "responseCode": INTEGER, "status": TEXT},
    "segment": {
        **dict.fromkeys(("segmentID", "name", "status", "createdAt", "updatedAt"), TEXT),
        "conditionGroups": MANY,
        "isStarred": YES_NO,
        "archivedAt": (TEXT, type(None)),
    },
    "brand": {
        **dict.fromkeys(("brandID", "name", "website", "currency", "platform", "timezone", "version"), TEXT),
        "connected": YES_NO,
    },
    "problem": {
        **dict.fromkeys(("type", "title", "detail", "instance"), TEXT),
        **dict.fromkeys(("status", "retryAfter"), INTEGER),
        "errors": MANY,
    },
    "paging": {"limit": INTEGER, "hasMore": YES_NO, "cursors": THING},
    "offsets": {
        "limit": INTEGER,
        "offset": INTEGER,
        "next": (TEXT, type(None)),
        "previous": (TEXT, type(None)),
    },
}
PAGES = {"contacts": "contact", "batches": "batch", "segments": "segment"}
MARKS = {"identifiers": "contact", "brandID": "brand", "segmentID": "segment", "batchID": "batch"}


def hold(value, shape):
    """Assert that an object has no names but the documented ones, and values of their types."""
    fields = SHAPES[shape]
    assert value.keys() <= fields.keys(), f"{shape}: {sorted(value.keys() - fields.keys())}"
    for name, item in value.items():
        assert isinstance(item, fields[name]), f"{shape}.{name} is {item!r}"


def check_reply(reply):
    """Hold a reply to its shape, which follows from what it carries."""
    if not reply.content:
        return
    body = reply.json()
    if not reply.ok:
        hold(body, "problem")
        assert (body["status"], reply.headers["content-type"]) == (reply.status_code, "application/problem+json")
    elif "paging" in body:
        name, shape = next(pair for pair in PAGES.items() if pair[0] in body)
        hold(body["paging"], "offsets" if name == "batches" else "paging")
        for row in body[name]:
            hold(row, shape)
    else:
        check_one(body)


def check_one(body):
    shape = next((shape for name, shape in MARKS.items() if name in body), None)
    if shape is None:
        assert body.keys() == {"contactsCount"}
        return
    hold(body, shape)
    for row in body.get("identifiers", ()):
        hold(row, "identifier")
    for row in [*body.get("errors", ()), *body.get("responses", ())]:
        hold(row, "item")


def person(email, **more):
    """A contact as a careful client sends it: no channels, no welcome message."""
    return {"identifiers": [{"type": "email", "id": email, "sendWelcomeMessage": False}], **more}


class Omnisend:
    """Calls with key and version."""

    def __init__(self, sim, key="main"):
        self.sim = sim
        self.described = sim.describe()["vendors"]["omnisend"]
        self.api = self.described["api_url"]
        self.session = requests.Session()
        self.session.headers["Omnisend-Version"] = "2026-03-15"
        self.session.headers["Authorization"] = f"Omnisend-API-Key {self.described['keys'][key]}"

    def __call__(self, method, path, body=None, **options):
        if body is not None:
            options["json"] = body
        reply = self.session.request(method, self.api + path, timeout=10, **options)
        check_reply(reply)
        return reply

    def start(self, *items, **more):
        """Send a batch; addresses stand for plain contacts."""
        rows = [person(item) if isinstance(item, str) else item for item in items]
        return self("POST", "/batches", {"method": "POST", "endpoint": "contacts", "items": rows, **more})

    def load(self, *items):
        """Send a batch, wait, and return it with its items."""
        batch_id = self.start(*items).json()["batchID"]
        self.sim.clock.advance(10)
        return self("GET", f"/batches/{batch_id}/items").json()

    def act(self, action, **details):
        return self.sim.act("omnisend", action, details)

    def audit(self):
        return self.act("audit")["counts"]

    def people(self, audience="all-contacts"):
        """Members of the audience, by address."""
        return {row["email"]: row for row in self.sim.members("omnisend", audience)["members"]}

    def find(self, email):
        return self("GET", "/contacts", params={"email": email}).json()["contacts"][0]
