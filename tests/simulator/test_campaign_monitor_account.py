"""Campaign Monitor: credentials, lists, custom fields, reading back, limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

PING = "/systemdate.json"


def code(reply):
    return reply.status_code, reply.json()["Code"]


def refresh(cm, token):
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return requests.post(cm.described["token_url"], data=form, timeout=10)


def bearer(cm, token, path=PING, method="GET"):
    url = f"{cm.base}{path}"
    return requests.request(method, url, headers={"Authorization": f"Bearer {token}"}, timeout=10)


def test_api_key_with_any_password(cm):
    """The key is the user name; the password does not matter."""
    key = cm.described["credentials"]["client_api_key"]
    for password in ("x", "", "magic"):
        assert requests.get(cm.base + PING, auth=(key, password), timeout=10).status_code == 200


@pytest.mark.parametrize("header", [None, "Basic ", "Basic !!!", "Basic d3Jvbmc6eA==", "Basic //79"])
def test_wrong_key_is_401_code_100(cm, header):
    """No key, nonsense and a wrong key are all 100."""
    reply = requests.get(cm.base + PING, headers={"Authorization": header} if header else {}, timeout=10)
    assert code(reply) == (401, 100)


def test_wrong_ids_are_401_too(sim, cm):
    """A list or client that is not yours is 401 with its own code; the list's status can be set."""
    assert code(cm("GET", f"/lists/{'0' * 32}.json")) == (401, 101)
    assert code(cm("POST", f"/subscribers/{'0' * 32}/import.json", {"Subscribers": []})) == (401, 101)
    assert code(cm("GET", f"/clients/{'0' * 32}/lists.json")) == (401, 102)
    sim.configure({"campaign_monitor": {"unknown_list_status": 400}})
    assert code(cm("GET", f"/lists/{'0' * 32}.json")) == (400, 101)


def test_bearer_token_opens_the_door_until_it_expires(sim, cm):
    """After 14 days the token answers 121; another one answers 120."""
    oauth = cm.described["credentials"]["oauth"]
    assert oauth["expires_in"] == 14 * 24 * 3600
    assert bearer(cm, oauth["access_token"]).status_code == 200
    assert code(bearer(cm, "0" * 48)) == (401, 120)
    sim.clock.advance(14 * 24 * 3600)
    assert code(bearer(cm, oauth["access_token"])) == (401, 121)


def test_refresh_rotates_the_refresh_token(sim, cm):
    """A refresh returns two new tokens; the old refresh token is spent."""
    oauth = cm.described["credentials"]["oauth"]
    sim.act("campaign_monitor", "expire_tokens")
    assert code(bearer(cm, oauth["access_token"])) == (401, 121)
    fresh = refresh(cm, oauth["refresh_token"]).json()
    assert fresh["refresh_token"] != oauth["refresh_token"]
    assert bearer(cm, fresh["access_token"]).status_code == 200
    spent = refresh(cm, oauth["refresh_token"])
    assert (spent.status_code, spent.json()["error"]) == (200, "invalid_grant")


def test_refresh_without_rotation_and_with_an_error_status(sim, cm):
    """Both undocumented points can be set."""
    sim.configure({"campaign_monitor": {"rotate_refresh_token": False, "token_error_status": 400}})
    oauth = cm.described["credentials"]["oauth"]
    for _ in range(2):
        assert refresh(cm, oauth["refresh_token"]).json()["refresh_token"] == oauth["refresh_token"]
    assert refresh(cm, "wrong").status_code == 400


def test_revoked_tokens(sim, cm, control):
    """Revocation answers 122 and ends the refresh token."""
    oauth = cm.described["credentials"]["oauth"]
    assert control("POST", "/campaign_monitor/revoke_tokens").json() == {"done": 1}
    assert code(bearer(cm, oauth["access_token"])) == (401, 122)
    assert "error" in refresh(cm, oauth["refresh_token"]).json()


def test_authorisation_code_is_exchanged_once(cm):
    """The code and the application's secret buy tokens, one time."""
    oauth = cm.described["credentials"]["oauth"]
    form = {"grant_type": "authorization_code", "code": oauth["code"], "redirect_uri": "http://localhost"}
    good = form | {"client_id": oauth["client_id"], "client_secret": oauth["client_secret"]}
    url = cm.described["token_url"]
    assert requests.post(url, data=form, timeout=10).json()["error"] == "invalid_client"
    bought = requests.post(url, data=good, timeout=10).json()
    assert bearer(cm, bought["access_token"]).status_code == 200
    assert requests.post(url, data=good, timeout=10).json()["error"] == "invalid_grant"
    assert requests.post(url, data={}, timeout=10).json()["error"] == "unsupported_grant_type"


def test_missing_scope_is_401_code_60(sim, cm):
    """A token without ManageLists can read neither a list nor its custom fields."""
    sim.configure({"campaign_monitor": {"scopes": ["ImportSubscribers"]}})
    token = cm.described["credentials"]["oauth"]["access_token"]
    assert code(bearer(cm, token, f"/lists/{cm.list}/customfields.json")) == (401, 60)
    assert code(bearer(cm, token, f"/lists/{cm.list}.json")) == (401, 60)


def test_clients_and_lists(cm):
    """The pickers name the client and its lists."""
    (client,) = cm("GET", "/clients.json").json()
    assert client == {"ClientID": cm.client, "Name": "Example Shop"}
    lists = cm("GET", f"/clients/{cm.client}/lists.json").json()
    assert {"ListID": cm.list, "Name": "Customers"} in lists
    assert cm("GET", f"/clients/{cm.client}.json").json()["BasicDetails"]["ClientID"] == cm.client


def test_list_details_tell_double_opt_in(cm):
    """Each list says how it confirms and what an unsubscription means."""
    assert cm("GET", f"/lists/{cm.list}.json").json() == {
        "ListID": cm.list,
        "Title": "Customers",
        "ConfirmedOptIn": False,
        "UnsubscribePage": "",
        "ConfirmationSuccessPage": "",
        "UnsubscribeSetting": "AllClientLists",
    }
    assert cm("GET", f"/lists/{cm.opt_in_list}.json").json()["ConfirmedOptIn"] is True


def test_list_creation_and_deletion(sim, cm):
    """A list can be made once under a title, and deleted with all its members."""
    body = {"Title": "VIP", "ConfirmedOptIn": False, "UnsubscribeSetting": "OnlyThisList"}
    made = cm("POST", f"/lists/{cm.client}.json", body)
    assert made.status_code == 201
    assert cm("GET", f"/lists/{made.json()}.json").json()["UnsubscribeSetting"] == "OnlyThisList"
    assert code(cm("POST", f"/lists/{cm.client}.json", body)) == (400, 250)
    assert code(cm("POST", f"/lists/{cm.client}.json", {"Title": " "})) == (400, 251)
    assert code(cm("POST", f"/lists/{cm.client}.json", {"Title": "New", "UnsubscribeSetting": "x"})) == (400, 261)
    cm.load("ada@example.com")
    assert cm("DELETE", f"/lists/{cm.list}.json").status_code == 200
    assert code(cm("GET", f"/lists/{cm.list}.json")) == (401, 101)
    assert sim.requests()[-2]["facts"] == {"lists_deleted": 1}


def test_stats_count_by_state_and_day(sim, cm):
    """Totals and the days' shares follow the clock."""
    cm.load("ada@example.com", "bob@example.com")
    sim.clock.advance(86_400)
    cm("DELETE", f"/subscribers/{cm.list}.json?email=bob@example.com")
    stats = cm("GET", f"/lists/{cm.list}/stats.json").json()
    assert len(stats) == 24
    assert (stats["TotalActiveSubscribers"], stats["TotalDeleted"], stats["DeletedToday"]) == (1, 1, 1)
    assert (stats["NewActiveSubscribersToday"], stats["NewActiveSubscribersYesterday"]) == (0, 1)


def test_custom_fields_are_listed_with_bracketed_keys(cm):
    """The key is the name without spaces in brackets."""
    fields = {field["FieldName"]: field for field in cm("GET", f"/lists/{cm.list}/customfields.json").json()}
    assert fields["Loyalty Tier"] == {
        "FieldName": "Loyalty Tier",
        "Key": "[LoyaltyTier]",
        "DataType": "Text",
        "FieldOptions": [],
        "VisibleInPreferenceCenter": True,
    }


def test_custom_field_creation(cm):
    """A new field answers its key; a name in use and a wrong type are refused."""
    path = f"/lists/{cm.list}/customfields.json"
    body = {"FieldName": "Shoe Size", "DataType": "Number", "VisibleInPreferenceCenter": False}
    made = cm("POST", path, body)
    assert (made.status_code, made.json()) == (201, "[ShoeSize]")
    assert code(cm("POST", path, body)) == (400, 255)
    assert code(cm("POST", path, {"FieldName": "", "DataType": "Text"})) == (400, 254)
    assert code(cm("POST", path, {"FieldName": "X", "DataType": "String"})) == (400, 259)
    assert code(cm("POST", path, {"FieldName": "X", "DataType": "MultiSelectOne"})) == (400, 257)
    assert code(cm("POST", path, {"FieldName": "X", "DataType": "Text", "Options": ["a"]})) == (400, 256)
    fields = cm("GET", f"/lists/{cm.list}/customfields.json").json()
    assert fields[-1]["VisibleInPreferenceCenter"] is False
    other = cm("GET", f"/lists/{cm.other_list}/customfields.json").json()
    assert "Shoe Size" not in [field["FieldName"] for field in other]


def test_custom_field_deletion_wants_brackets(cm):
    """The key in the path is bracketed; without brackets, or unknown, it is 253."""
    path = f"/lists/{cm.list}/customfields"
    assert code(cm("DELETE", f"{path}/City.json")) == (400, 253)
    assert code(cm("DELETE", f"{path}/%5BShoe%5D.json")) == (400, 253)
    assert cm("DELETE", f"{path}/%5BCity%5D.json").status_code == 200
    assert len(cm("GET", f"{path}.json").json()) == 7


def test_a_field_that_is_deleted_loses_its_values(sim, cm):
    """A field of the same name that is made afterwards is empty."""
    sim.seed("campaign_monitor", [{"email": "ann@example.com", "fields": {"City": "Oslo"}}], cm.list)
    assert cm("DELETE", f"/lists/{cm.list}/customfields/%5BCity%5D.json").status_code == 200
    assert cm("POST", f"/lists/{cm.list}/customfields.json", {"FieldName": "City", "DataType": "Text"}).ok
    assert sim.members("campaign_monitor", cm.list)["members"][0]["fields"] == {}


def test_pages_of_members(sim, cm):
    """Pages carry their envelope, rows the field's name, dates the account's time."""
    sim.configure({"campaign_monitor": {"utc_offset_minutes": 600}})
    cm.load(*(f"p{number:02}@example.com" for number in range(25)))
    path = f"/lists/{cm.list}/active.json"
    page = cm("GET", path, params={"page": 3, "pagesize": 10, "orderdirection": "desc"}).json()
    emails = [row.pop("EmailAddress") for row in page["Results"]]
    assert emails == [f"p{number:02}@example.com" for number in (4, 3, 2, 1, 0)]
    assert (page["NumberOfPages"], page["TotalNumberOfRecords"], page["RecordsOnThisPage"]) == (3, 25, 5)
    assert page["Results"][0].keys() == {"Name", "Date", "ListJoinedDate", "State", "CustomFields", "ReadsEmailWith"}
    assert cm("GET", "/clients/" + cm.client + ".json").json()["BasicDetails"]["TimeZone"].startswith("(GMT+10:00)")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"page": 0}, 800),
        ({"page": "x"}, 800),
        ({"pagesize": 9}, 801),
        ({"pagesize": 1001}, 801),
        ({"orderfield": "size"}, 802),
        ({"orderdirection": "up"}, 803),
        ({"date": "01/02/2026"}, 5),
    ],
)
def test_bad_paging(cm, query, wanted):
    """Each wrong parameter has its code."""
    assert code(cm("GET", f"/lists/{cm.list}/active.json", params=query)) == (400, wanted)


def test_date_filters_by_change_of_state(sim, cm):
    """Only people who came into the state since that day are shown."""
    cm.load("old@example.com")
    sim.clock.advance(2 * 86_400)
    cm.load("new@example.com", "old@example.com")
    today = cm("GET", PING).json()["SystemDate"][:10]
    page = cm("GET", f"/lists/{cm.list}/active.json", params={"date": today}).json()
    assert [row["EmailAddress"] for row in page["Results"]] == ["new@example.com"]
    page = cm("GET", f"/lists/{cm.list}/active.json", params={"date": f"{today} 23:59"}).json()
    assert page["Results"] == []


def test_one_person(cm):
    """A person is read by address, tracking preference on request; a stranger is 203."""
    pairs = [{"Key": "LoyaltyTier", "Value": "Gold"}, {"Key": "Interests", "Value": "Travel"}]
    cm.load({"EmailAddress": "Ada@example.com", "CustomFields": pairs, "ConsentToTrack": "No"})
    path = f"/subscribers/{cm.list}.json"
    shown = cm("GET", path, params={"email": "ada@example.com", "includetrackingpreference": "True"}).json()
    assert (shown["EmailAddress"], shown["ConsentToTrack"]) == ("Ada@example.com", "No")
    assert shown["CustomFields"] == [
        {"Key": "Loyalty Tier", "Value": "Gold"},
        {"Key": "Interests", "Value": "Travel"},
    ]
    assert code(cm("GET", path, params={"email": "x@example.com"})) == (400, 203)
    assert code(cm("GET", path, params={"email": "x@example"})) == (400, 1)
    assert code(cm("GET", path)) == (400, 1)


def test_lists_for_an_address(cm):
    """All lists of a person are found over the client."""
    cm.load("ada@example.com")
    lists = cm("GET", f"/clients/{cm.client}/listsforemail.json", params={"email": "ada@example.com"}).json()
    assert [(item["ListName"], item["SubscriberState"]) for item in lists] == [("Customers", "Active")]


def test_no_quota_by_default(cm):
    """The vendor publishes none: no headers, no 429."""
    replies = [cm("GET", PING) for _ in range(30)]
    assert {reply.status_code for reply in replies} == {200}
    assert "x-ratelimit-limit" not in replies[0].headers


def test_configured_quota_resets_in_seconds(sim, cm):
    """A configured quota answers 429 with the seconds to wait, until they have passed."""
    sim.configure({"campaign_monitor": {"calls_per_minute": 2}})
    assert [cm("GET", PING).status_code for _ in range(2)] == [200, 200]
    limited = cm("GET", PING)
    assert code(limited) == (429, 429)
    wait = int(limited.headers["X-RateLimit-Reset"])
    assert 0 < wait <= 61
    sim.clock.advance(wait)
    assert cm("GET", PING).status_code == 200


def test_concurrency_cap(sim, cm):
    """More calls at once than the cap allows answer 429."""
    sim.reset({"campaign_monitor": {"max_concurrent": 2}}, latency=0.1)
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda _: requests.get(cm.base + PING, auth=cm.session.auth, timeout=10), range(6)))
    statuses = sorted(reply.status_code for reply in replies)
    assert statuses[0] == 200
    assert statuses.count(429) >= 3
