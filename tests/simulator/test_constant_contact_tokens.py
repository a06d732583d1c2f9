"""Constant Contact: OAuth tokens, their kinds, the device flow, scopes and privileges."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

UNAUTHORIZED = {"error_key": "unauthorized", "error_message": "Unauthorized"}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
DAY = 86_400


def invalid_grant(reply):
    return reply.status_code == 400 and reply.json()["error"] == "invalid_grant"


def test_a_token_opens_the_door_for_a_day(sim, cc):
    """An access token is good for 24 hours of the simulator's clock, then answers 401."""
    assert cc("GET", "/account/summary").json()["organization_name"] == "Example Shop"
    sim.clock.advance(DAY - 10)
    assert cc("GET", "/account/summary").status_code == 200
    sim.clock.advance(10)
    expired = cc("GET", "/account/summary")
    assert (expired.status_code, expired.json()) == (401, UNAUTHORIZED)


def test_no_token_and_a_strange_one_are_401(cc):
    """A missing or unknown token answers 401 with a bare object."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        reply = requests.get(f"{cc.api}/account/summary", headers=headers, timeout=10)
        assert (reply.status_code, reply.json()) == (401, UNAUTHORIZED)


def test_a_token_looks_like_the_vendors(cc):
    """An access token is a JWT of 1,000 to 1,200 characters with the vendor's audience."""
    token = cc.refresh().json()["access_token"]
    assert 1000 <= len(token) <= 1200
    body = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert b'"https://api.cc.email/v3"' in body


def test_a_rotating_key_gives_a_new_refresh_token_each_time(cc):
    """A refresh at a rotating key returns another refresh token, which then is the good one."""
    issued = cc.refresh().json()
    assert issued.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert issued["refresh_token"] != cc.keys["main"]["refresh_token"]
    cc.token = issued["access_token"]
    assert cc("GET", "/account/summary").status_code == 200
    assert cc.refresh(token=issued["refresh_token"]).status_code == 200


def test_the_living_refresh_token_is_described(sim, cc):
    """GET /_sim shows the refresh token that is good now."""
    second = cc.refresh().json()["refresh_token"]
    assert sim.describe()["vendors"]["constant_contact"]["credentials"]["refresh_token"] == second


def test_a_rotated_token_is_dead(cc):
    """A refresh token that was used once, and all before it, answer invalid_grant."""
    second = cc.refresh().json()["refresh_token"]
    third = cc.refresh(token=second).json()["refresh_token"]
    assert invalid_grant(cc.refresh())
    assert invalid_grant(cc.refresh(token=second))
    assert cc.refresh(token=third).status_code == 200


def test_reuse_may_revoke_the_whole_family(sim, cc):
    """When so set, using a dead refresh token kills the living one too."""
    sim.configure({"constant_contact": {"reuse_revokes_all": True}})
    second = cc.refresh().json()["refresh_token"]
    assert invalid_grant(cc.refresh())
    assert invalid_grant(cc.refresh(token=second))


def test_a_long_lived_key_keeps_its_refresh_token(cc):
    """A refresh at a long-lived key returns the same refresh token, as often as one likes."""
    for _ in range(3):
        assert cc.refresh("long_lived").json()["refresh_token"] == cc.keys["long_lived"]["refresh_token"]


def test_the_kind_of_a_key_can_be_set(sim, cc):
    """Which keys rotate is a setting."""
    sim.configure({"constant_contact": {"long_lived_keys": ["main"]}})
    assert cc.refresh().json()["refresh_token"] == cc.keys["main"]["refresh_token"]
    assert cc.refresh("long_lived").json()["refresh_token"] != cc.keys["long_lived"]["refresh_token"]


def test_a_refresh_token_dies_unused(sim, cc):
    """After 180 days without use a refresh token answers invalid_grant."""
    sim.clock.advance(179 * DAY)
    assert cc.refresh("long_lived").status_code == 200
    sim.clock.advance(181 * DAY)
    assert invalid_grant(cc.refresh("long_lived"))


def test_a_confidential_key_shows_its_secret(cc):
    """Without Basic credentials, or with a wrong secret, the token endpoint answers invalid_client."""
    main = cc.keys["main"]
    form = {"grant_type": "refresh_token", "refresh_token": main["refresh_token"], "client_id": main["client_id"]}
    bare = requests.post(f"{cc.oauth}/token", data=form, timeout=10)
    wrong = requests.post(f"{cc.oauth}/token", data=form, auth=(main["client_id"], "wrong"), timeout=10)
    assert [(r.status_code, r.json()["error"]) for r in (bare, wrong)] == [(401, "invalid_client")] * 2


def test_a_public_key_names_itself_in_the_form(cc):
    """A PKCE client refreshes with its client id in the body and without a secret."""
    assert "client_secret" not in cc.keys["public"]
    assert cc.refresh("public").status_code == 200


def test_the_token_endpoint_takes_one_call_a_second(cc):
    """A second call within the second answers 429 and uses nothing up."""
    issued = cc.refresh().json()
    limited = cc.refresh(token=issued["refresh_token"], wait=0.5)
    assert limited.status_code == 429
    assert cc.refresh(token=issued["refresh_token"]).status_code == 200


def start_device(cc, scope="contact_data offline_access"):
    given = {"client_id": cc.keys["public"]["client_id"], "scope": scope}
    return cc.session.post(f"{cc.oauth}/device/authorize", params=given, timeout=10).json()


def poll(cc, device, wait=5):
    cc.sim.clock.advance(wait)
    form = {"grant_type": DEVICE, "device_code": device["device_code"], "client_id": cc.keys["public"]["client_id"]}
    return cc.session.post(f"{cc.oauth}/token", data=form, timeout=10)


def test_device_flow(cc):
    """A device waits with authorization_pending until its user agrees, then gets tokens, once."""
    device = start_device(cc)
    assert device["verification_uri_complete"].endswith(device["user_code"])
    assert poll(cc, device).json()["error"] == "authorization_pending"
    assert cc.act("approve_device", user_code=device["user_code"]) == [device["user_code"]]
    issued = poll(cc, device).json()
    assert cc.refresh("public", issued["refresh_token"]).status_code == 200
    assert poll(cc, device).json()["error"] == "invalid_grant"


def test_device_flow_on_the_page(cc):
    """The page that the user is sent to approves the device when its button is pressed."""
    device = start_device(cc)
    assert device["user_code"] in requests.get(device["verification_uri_complete"], timeout=10).text
    requests.post(device["verification_uri_complete"], timeout=10).raise_for_status()
    assert poll(cc, device).status_code == 200


def test_device_flow_denied_slow_and_late(cc):
    """A denied device gets access_denied, a hasty one slow_down, a late one expired_token."""
    denied = start_device(cc)
    cc.act("deny_device")
    assert poll(cc, denied).json()["error"] == "access_denied"
    hasty = start_device(cc)
    poll(cc, hasty)
    assert poll(cc, hasty, wait=2).json()["error"] == "slow_down"
    assert poll(cc, hasty, wait=601).json()["error"] == "expired_token"


def test_without_offline_access_there_is_no_refresh_token(cc):
    """Only the scope offline_access brings a refresh token."""
    device = start_device(cc, "contact_data")
    cc.act("approve_device")
    assert "refresh_token" not in poll(cc, device).json()


def test_authorization_code_with_pkce(cc):
    """A public client gets a code by redirect and exchanges it, once, with its verifier."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    given = {
        "client_id": cc.keys["public"]["client_id"],
        "redirect_uri": "https://localhost/back",
        "response_type": "code",
        "scope": "contact_data offline_access",
        "state": "s1",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    reply = requests.get(f"{cc.oauth}/authorize", params=given, allow_redirects=False, timeout=10)
    back = parse_qs(urlsplit(reply.headers["location"]).query)
    assert (reply.status_code, back["state"]) == (302, ["s1"])
    form = {"code": back["code"][0], "redirect_uri": given["redirect_uri"], "code_verifier": verifier}
    tokens = cc.refresh("public", grant_type="authorization_code", **form)
    assert tokens.json()["scope"] == "contact_data offline_access"
    assert invalid_grant(cc.refresh("public", grant_type="authorization_code", **form))


def test_a_missing_scope_is_403(cc):
    """A token without account_read may not read the account; one without contact_data no lists."""
    cc.token = cc.act("authorize", scopes=["contact_data"])["access_token"]
    assert cc("GET", "/account/summary").status_code == 403
    assert cc("GET", f"/contact_lists/{cc.list}").status_code == 200
    cc.token = cc.act("authorize", scopes=["account_read"])["access_token"]
    assert cc("GET", f"/contact_lists/{cc.list}").json() == {
        "error_key": "access_denied",
        "error_message": "Request forbidden due to insufficient user privileges.",
    }


def test_a_missing_privilege_is_403(sim, cc):
    """A user without contacts:write reads lists, and is refused every bulk activity."""
    sim.configure({"constant_contact": {"privileges": ["contacts:read", "contacts:lists:read"]}})
    assert "contacts:write" not in {row["privilege_name"] for row in cc("GET", "/account/user/privileges").json()}
    assert cc("GET", f"/contact_lists/{cc.list}").status_code == 200
    assert cc.start("ada@example.com").status_code == 403


def test_revoked_tokens(cc):
    """When the user takes the permission back, access and refresh tokens are dead."""
    cc.act("revoke_tokens")
    assert cc("GET", "/account/summary").status_code == 401
    assert invalid_grant(cc.refresh())
    again = cc.act("authorize")["refresh_token"]
    assert cc.refresh(token=again).status_code == 200


@pytest.mark.parametrize("grant", ["password", "client_credentials"])
def test_there_is_no_grant_without_a_human(cc, grant):
    """Machine-to-machine grants do not exist."""
    assert cc.refresh(grant_type=grant).json()["error"] == "unsupported_grant_type"


def test_a_deactivated_application_is_403(sim, cc):
    """Every call of a deactivated application is forbidden."""
    sim.configure({"constant_contact": {"deactivated": True}})
    assert cc("GET", "/account/summary").status_code == 403


def test_secrets_stay_out_of_the_request_log(cc):
    """The request log shows that tokens were sent, not which."""
    cc.refresh()
    shown = str(cc.sim.requests(vendor="constant_contact"))
    assert cc.keys["main"]["refresh_token"] not in shown
    assert cc.keys["main"]["client_secret"] not in shown


def test_wrong_authorization_requests(sim, cc):
    """A strange client, no redirect, no challenge, a wrong scope and a wrong verifier are refused."""
    public = cc.keys["public"]["client_id"]
    good = {
        "client_id": public,
        "response_type": "code",
        "redirect_uri": "https://localhost/back",
        "scope": "contact_data",
    }

    def error(**change):
        reply = requests.get(f"{cc.oauth}/authorize", params=good | change, allow_redirects=False, timeout=10)
        return reply.json()["error"]

    assert error(client_id="x", code_challenge="c") == "invalid_client"
    assert error(response_type="token", code_challenge="c") == "invalid_request"
    assert error() == "invalid_request"
    assert error(code_challenge="c", scope="everything") == "invalid_scope"
    reply = requests.get(
        f"{cc.oauth}/authorize", params=good | {"code_challenge": "c"}, allow_redirects=False, timeout=10
    )
    code = reply.headers["location"].partition("code=")[2]
    form = {"code": code, "redirect_uri": good["redirect_uri"], "code_verifier": "wrong"}
    assert cc.refresh("public", grant_type="authorization_code", **form).json()["error"] == "invalid_grant"
    bad = requests.post(f"{cc.oauth}/token", headers={"Authorization": "Basic !"}, timeout=10)
    assert bad.json()["error"] == "invalid_client"


def test_devices_may_be_approved_at_once(sim, cc):
    """For a demo without a human, devices are approved by themselves, and the token endpoint is not limited."""
    sim.configure({"constant_contact": {"approve_devices": True, "token_calls_per_second": None}})
    given = {"client_id": cc.keys["public"]["client_id"], "scope": "contact_data offline_access"}
    device = requests.post(f"{cc.oauth}/device/authorize", data=given, timeout=10).json()
    form = {"device_code": device["device_code"]}
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    assert "refresh_token" in cc.refresh("public", grant_type=grant, wait=0, **form).json()
    assert cc.refresh(wait=0).status_code == 200


def test_expired_tokens(cc):
    """Access tokens can be ended while refresh tokens stay good."""
    cc.act("expire_tokens")
    assert cc("GET", "/account/summary").status_code == 401
    assert cc.refresh().status_code == 200
    assert cc.act("revoke_refresh_tokens") == 1
    assert cc.refresh().status_code == 400
