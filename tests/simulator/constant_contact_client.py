"""A client of the simulated Constant Contact that holds every exchange to the vendor's swagger."""

from __future__ import annotations

import functools
import json

import jsonschema
import requests
import yaml
from simulator.specifications import SPECS

SWAGGER = SPECS / "constant_contact-v3.yaml"
TOKEN_PATHS = ("/oauth2/", "/activate")


@functools.cache
def swagger():
    """The published file; its `maxItems: 0` is a slip: the descriptions say 50 to 500.

    Addresses have 50 characters in an import's rows and 80 in a contact: the longer is taken.
    """
    text = SWAGGER.read_text().replace("maxItems: 0", "maxItems: 500")
    document = yaml.load(text, yaml.CSafeLoader)
    document["definitions"]["JsonImportContact"]["properties"]["email"]["maxLength"] = 80
    return document


def operation_of(method, path):
    parts = path.split("/")
    for template in sorted(swagger()["paths"], key=lambda name: name.count("{")):
        wanted = template.split("/")
        fits = len(parts) == len(wanted) and all(
            want.startswith("{") or want == part for part, want in zip(parts, wanted, strict=True)
        )
        if fits and method.lower() in swagger()["paths"][template]:
            return swagger()["paths"][template][method.lower()]
    return None


def closed(schema):
    """The same schema, with properties that it does not name forbidden."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "properties" in schema and schema.get("type") == "object" else {}
    return {name: closed(value) for name, value in schema.items()} | more


@functools.cache
def validator(text, *, reply):
    schema = json.loads(text)
    definitions = swagger()["definitions"]
    document = closed(schema | {"definitions": definitions}) if reply else schema | {"definitions": definitions}
    return jsonschema.Draft4Validator(document)


def check_exchange(method, path, body, reply):
    """Hold an accepted request (no body: not wanted), and every reply, to the swagger."""
    operation = operation_of(method, path)
    assert operation, f"{method} {path} is not in the swagger"
    if reply.ok and body is not None:
        schema = next(item["schema"] for item in operation["parameters"] if item["in"] == "body")
        validator(json.dumps(schema), reply=False).validate(body)
    documented = operation["responses"].get(str(reply.status_code))
    assert documented or reply.status_code == 429, f"{method} {path} answers {reply.status_code}"
    if not reply.ok:
        name = "AuthorizationErrorSchema" if isinstance(reply.json(), dict) else "APIErrorSchema"
        validator(json.dumps({"$ref": f"#/definitions/{name}"}), reply=True).validate(reply.json())
    elif "schema" in documented and "json" in reply.headers.get("content-type", ""):
        validator(json.dumps(documented["schema"]), reply=True).validate(reply.json())


class ConstantContact:
    """Calls with a bearer token; `check` sees every exchange."""

    def __init__(self, sim):
        self.sim = sim
        self.described = sim.describe()["vendors"]["constant_contact"]
        self.keys = self.described["keys"]
        self.api, self.oauth = self.described["api_url"], self.described["authorize_url"]
        self.list, self.other_list, _ = (item["id"] for item in self.described["audiences"])
        self.session = requests.Session()
        self.token = self.described["credentials"]["access_token"]
        self.check = check_exchange if SWAGGER.is_file() else None

    def __call__(self, method, path, body=None, *, wait=1, broken=False, **options):
        """Call the API a second after the last call; `broken`: the body breaks the swagger, and means to."""
        self.sim.clock.advance(wait)
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            options["json"] = body
        reply = self.session.request(method, self.api + path, headers=headers, timeout=10, **options)
        if self.check:
            self.check(method, path.partition("?")[0], None if broken else body, reply)
        return reply

    def refresh(self, key="main", token=None, *, wait=1, **form):
        """Ask for new tokens as the key does: Basic, or client_id in the form."""
        self.sim.clock.advance(wait)
        held = self.keys[key]
        secret = held.get("client_secret")
        given = {"grant_type": "refresh_token", "refresh_token": token or held["refresh_token"], **form}
        public = {} if secret else {"client_id": held["client_id"]}
        auth = (held["client_id"], secret) if secret else None
        return self.session.post(f"{self.oauth}/token", data=given | public, auth=auth, timeout=10)

    def start(self, *rows, lists=None, **options):
        """Send a JSON import; addresses stand for rows with nothing else."""
        data = [{"email": row} if isinstance(row, str) else row for row in rows]
        body = {"import_data": data, "list_ids": lists or [self.list]}
        return self("POST", "/activities/contacts_json_import", body, **options)

    def send_csv(self, text, name="people.csv", lists=None):
        files = {"file": (name, text)}
        return self(
            "POST", "/activities/contacts_file_import", files=files, data={"list_ids": ",".join(lists or [self.list])}
        )

    def done(self, reply, wait=10):
        """Wait for what a call queued, and return its last report."""
        assert reply.status_code in (201, 202), reply.text
        self.sim.clock.advance(wait)
        return self("GET", f"/activities/{reply.json()['activity_id']}").json()

    def load(self, *rows, **options):
        return self.done(self.start(*rows, **options))

    def seed(self, *people, audience=None):
        rows = [{"email": row} if isinstance(row, str) else row for row in people]
        self.sim.seed("constant_contact", rows, audience)

    def act(self, action, **details):
        return self.sim.act("constant_contact", action, details)

    def audit(self):
        return self.act("audit")["counts"]

    def people(self, audience=None):
        """Members of the list, by address."""
        shown = self.sim.members("constant_contact", audience or self.list)
        return {person["email"]: person for person in shown["members"]}

    def find(self, email):
        """One contact, as the API shows it."""
        response = self("GET", "/contacts", params={"email": email, "status": "all", "include": "list_memberships"})
        return response.json()["contacts"][0]
