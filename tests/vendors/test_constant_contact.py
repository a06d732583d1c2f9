"""Constant Contact: what is checked before anything is sent, and what a row is made of."""

from __future__ import annotations

import datetime as dt

import pytest
from vendors.harness import people

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    InvalidFieldMapping,
    PermissionDenied,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.operations import run_operation


def check(lists, audience=None):
    return lists.call(lists.vendor.resolve_audience(lists.endpoint, audience))


class TestCheck:
    """Login, privilege, scope, list and custom fields."""

    def test_the_account_is_named(self, lists):
        """With the scope account_read the connection test names the account."""
        checked = check(lists, lists.audience)
        assert ("Example Shop", "Customers", 0) == (checked.account_name, checked.audience_name, checked.member_count)

    def test_an_account_without_a_name(self, lists):
        """Without account_read the export works all the same, and the account stays unnamed."""
        lists.described = {**lists.described, "credentials": lists.act("authorize", scopes=["contact_data"])}
        assert ("", "Customers") == (
            check(lists, lists.audience).account_name,
            check(lists, lists.audience).audience_name,
        )
        assert 3 == lists.export(lists.segment({"email": people(3)}))["counts"]["delivered"]

    def test_the_count_is_of_those_who_may_be_mailed(self, lists):
        """A contact that is in the list and unsubscribed is not a member that an export reaches."""
        lists.seed("a@example.com", {"email": "b@example.com", "status": "unsubscribed"}, audience=lists.audience)
        assert 1 == check(lists, lists.audience).member_count

    @pytest.mark.parametrize("audience", [True, False])
    def test_a_user_without_the_privilege(self, lists, audience):
        """The login is valid, and its user may only read: nothing is sent, with or without a list given."""
        lists.set(privileges=["contacts:read", "contacts:lists:read", "account:read"])
        with pytest.raises(
            PermissionDenied,
            match=r"lacks the privilege contacts:write\. .*Account Manager.* To fix: log in with a user of",
        ):
            check(lists, lists.audience if audience else None)

    @pytest.mark.parametrize("audience", [True, False])
    def test_a_sign_in_without_the_scope(self, lists, audience):
        """The error for a token without the right to write contacts says so."""
        scopes = ["account_read", "offline_access"]
        lists.described = {**lists.described, "credentials": lists.act("authorize", scopes=scopes)}
        with pytest.raises(PermissionDenied, match="needs the scope contact_data"):
            check(lists, lists.audience if audience else None)

    @pytest.mark.parametrize("audience", [True, False])
    def test_a_deactivated_application(self, lists, audience):
        """The vendor answers 403 to everything: no good account without a name."""
        lists.set(deactivated=True)
        with pytest.raises(PermissionDenied, match="application must be active"):
            check(lists, lists.audience if audience else None)

    @pytest.mark.parametrize("bad", ["", "7", "Customers", "04fe9a97a57943c5bb1a58ed29bf0a6a", "../contacts", "1|2"])
    def test_no_list_could_have_this_id(self, lists, bad):
        """The error describes an id, and where to find it, before any call to the vendor."""
        with pytest.raises(AudienceNotFound, match=r"looks like 04fe9a97-.*list's address in the browser"):
            check(lists, bad)
        assert not [call for call in lists.calls() if "/contact_lists/" in call["path"]]

    def test_an_unknown_list(self, lists):
        """A list of another account, or of none."""
        with pytest.raises(AudienceNotFound, match="or the list was deleted"):
            check(lists, "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a")

    def test_a_deleted_list_that_the_vendor_still_shows(self, lists):
        """It may be answered with the time of its deletion."""
        body = {"list_id": lists.audience, "name": "Customers", "deleted_at": "2026-01-01T00:00:00Z"}
        lists.sim.faults([{"vendor": lists.name, "path": f"{lists.audience}$", "status": 200, "body": body}])
        with pytest.raises(AudienceNotFound, match="'Customers' was deleted"):
            check(lists, lists.audience)

    def test_fields_over_several_pages(self, lists):
        """An account may have a hundred; label and name both lead to a field."""
        pages = run_operation(constant_contact.account.custom_fields("http://host/v3"), paged)
        assert {"colour": "text", "shoe size": "number", "shoe_size": "number"} == {
            name: field.type for name, field in pages.items()
        }

    def test_a_link_to_another_host_is_not_followed(self):
        """The access token goes nowhere else."""
        linked = constant_contact.account.link_url
        for foreign in ("https://elsewhere/v3/x", "http://host.evil/v3/x"):
            with pytest.raises(UnexpectedResponse, match="a server other than the API"):
                linked("http://host/v3", {"_links": {"next": {"href": foreign}}}, "next")
        assert (
            linked("http://host/v3", {"_links": {"next": {"href": "http://host/v3/x"}}}, "next") == "http://host/v3/x"
        )
        assert linked("http://host/v3", {"_links": None}, "next") == ""


def paged(request):
    """Two pages of custom fields, with a link between them as the vendor writes links."""
    if "cursor" in request.url:
        return Response(200, {}, b'{"custom_fields":[{"name":"Shoe_Size","label":"Shoe Size","type":"currency"}]}')
    link = b'"_links":{"next":{"href":"/v3/contact_custom_fields?cursor=abc"}}'
    return Response(200, {}, b'{"custom_fields":[{"name":"Colour","label":"Colour","type":"text_area"}],' + link + b"}")


class TestRows:
    """A row of an import is flat, and holds only what the vendor has a place for."""

    def test_every_field_has_its_place(self, lists):
        """Names as the import has them: `street` and `zip`, month and day without a year, gender as a custom field."""
        columns = {
            "email": ["ada@example.com"],
            "first": ["Ada"],
            "last": ["Lovelace"],
            "phone": ["555 0100"],
            "street": ["1 Main St"],
            "city": ["Springfield"],
            "state": ["MA"],
            "zip": ["02451"],
            "country": ["United States"],
            "born": [dt.date(1999, 12, 10)],
            "sex": ["f"],
        }
        field_mapping = {
            "first_name": "first",
            "last_name": "last",
            "phone": "phone",
            "address": "street",
            "city": "city",
        }
        field_mapping |= {
            "state": "state",
            "postcode": "zip",
            "country": "country",
            "birthdate": "born",
            "gender": "sex",
        }
        assert 1 == lists.export(lists.segment(columns), field_mapping=field_mapping)["counts"]["delivered"]
        assert [
            [
                {
                    "email": "ada@example.com",
                    "first_name": "Ada",
                    "last_name": "Lovelace",
                    "phone": "555 0100",
                    "street": "1 Main St",
                    "city": "Springfield",
                    "state": "MA",
                    "zip": "02451",
                    "country": "United States",
                    "birthday_month": 12,
                    "birthday_day": 10,
                    "cf:Gender": "f",
                }
            ]
        ] == lists.rows_sent()
        fields = lists.members()["ada@example.com"]["fields"]
        assert (12, 10, "f") == (fields["birthday_month"], fields["birthday_day"], fields["cf:Gender"])

    def test_a_birthdate_that_is_none_leaves_both_parts_out(self, lists):
        """Month and day come together or not at all."""
        columns = {"email": people(3), "born": [None, "2000-02-29", "1970-01-01"]}
        report = lists.export(lists.segment(columns), field_mapping={"birthdate": "born"})
        assert 3 == report["counts"]["delivered"]
        assert [[set(), {2, 29}, {1}]] == [
            [{value for name, value in sent_row.items() if name != "email"} for sent_row in rows]
            for rows in lists.rows_sent()
        ]

    def test_a_birthdate_that_no_calendar_has(self, lists):
        """It rejects its row before anything is sent."""
        columns = {"email": people(2), "born": ["1999-02-30", "1999-02-28"]}
        report = lists.export(lists.segment(columns), field_mapping={"birthdate": "born"})
        assert {"rejected": {"invalid_value": 1}} == report["reasons"]

    @pytest.mark.parametrize(("field", "most"), [("first_name", 50), ("address", 255), ("city", 50), ("gender", 255)])
    def test_values_at_the_limit_and_beyond_it(self, lists, field, most):
        """The specification's lengths: the vendor takes what we let through."""
        columns = {"email": people(2), "x": ["é" * most, "x" * (most + 1)]}
        report = lists.export(lists.segment(columns), field_mapping={field: "x"})
        assert (1, {"rejected": {"value_too_long": 1}}) == (report["counts"]["delivered"], report["reasons"])

    def test_a_full_name_has_no_place(self, lists):
        """The error names the fields that there are."""
        with pytest.raises(
            InvalidFieldMapping, match=r"no field for `full_name`; it accepts: email, first_name.*birthdate, gender"
        ):
            lists.export(lists.segment({"email": people(1), "x": ["Ada"]}), field_mapping={"full_name": "x"})


class TestCustomFields:
    """`cf:` and the name; they must be there before an import."""

    def test_by_label_or_by_name(self, lists):
        """`Loyalty Tier` and `Loyalty_Tier` are one field; the import wants the name."""
        for number, name in enumerate(["Loyalty Tier", "loyalty_tier"]):
            segment = lists.segment({"email": people(1), "tier": [f"gold{number}"]})
            lists.export(segment, f"run {number}", custom_fields={name: "tier"})
            assert f"gold{number}" == lists.members()["p0@example.com"]["fields"]["cf:Loyalty_Tier"]

    def test_one_field_by_both_its_names(self, lists):
        """Fed twice, it is a mistake in field mapping."""
        segment = lists.segment({"email": people(1), "a": ["1"], "b": ["2"]})
        with pytest.raises(InvalidFieldMapping, match="'Loyalty Tier' and 'Loyalty_Tier' are the same"):
            lists.export(segment, custom_fields={"Loyalty Tier": "a", "Loyalty_Tier": "b"})

    def test_created_with_a_blank_in_the_name(self, lists):
        """A new field of each type takes what its column holds: below zero, with decimals, a date, a switch."""
        columns = {
            "email": people(2),
            "text": ["Leeds", "York"],
            "change": [-12.5, 3.0],
            "since": [dt.date(2020, 1, 31), dt.date(2021, 2, 28)],
            "vip": [True, False],
        }
        names = {"Favourite Shop": "text", "Balance Change": "change", "Member Since": "since", "Is VIP": "vip"}
        report = lists.export(lists.segment(columns), custom_fields=names, create_custom_fields=True)
        assert 2 == report["counts"]["delivered"]
        fields = lists.members()["p0@example.com"]["fields"]
        assert ("Leeds", "-12.5") == (fields["cf:Favourite_Shop"], fields["cf:Balance_Change"])
        assert ("2020-01-31", "true") == (fields["cf:Member_Since"], fields["cf:Is_VIP"])

    def test_gender_is_made_where_it_is_missing(self, lists):
        """The vendor has no field of its own for it."""
        del lists.sim._vendors[lists.name].account.fields["Gender"]
        segment = lists.segment({"email": people(1), "sex": ["f"]})
        with pytest.raises(InvalidFieldMapping, match="no field 'Gender' for list 'Customers'"):
            lists.export(segment, field_mapping={"gender": "sex"})
        lists.export(segment, field_mapping={"gender": "sex"}, create_custom_fields=True)
        assert "f" == lists.members()["p0@example.com"]["fields"]["cf:Gender"]

    def test_somebody_makes_the_same_field_at_the_same_moment(self, lists):
        """409 is as good as made."""
        target = check(lists, lists.audience)
        lists.call(lists.vendor.create_field(target, "Favourite Shop", "text"))
        lists.call(lists.vendor.create_field(target, "Favourite Shop", "text"))
        assert [201, 409] == [call["status"] for call in lists.calls("POST", "/contact_custom_fields")]

    @pytest.mark.parametrize("name", ["", " Shop", "Shop ", "x" * 51, "<b>", 'a"b', "a\nb"])
    def test_a_name_that_no_field_could_have(self, lists, name):
        """Said before the vendor is asked."""
        with pytest.raises(InvalidFieldMapping, match="cannot exist at Constant Contact: it takes 1 to 50 characters"):
            lists.export(
                lists.segment({"email": people(1), "x": ["1"]}), custom_fields={name: "x"}, create_custom_fields=True
            )

    def test_more_custom_fields_than_a_contact_may_carry(self, lists):
        """25 in an import, gender among them: the rest would fail every row."""
        columns = {"email": people(1), "x": ["1"]}
        many = {f"Field {number}": "x" for number in range(25)}
        assert lists.export(lists.segment(columns), "most", custom_fields=many, create_custom_fields=True)
        with pytest.raises(
            InvalidFieldMapping, match="takes 25 custom fields of a contact, and the export maps 26, gender among"
        ):
            lists.export(lists.segment(columns), "more", custom_fields=many, field_mapping={"gender": "x"})

    def test_a_value_that_the_vendor_s_field_does_not_take(self, lists):
        """A whole number that is below zero, where the field is not made for it, is named by its line."""
        report = lists.export(
            lists.segment({"email": people(3), "orders": [1, -1, 2]}), custom_fields={"Orders": "orders"}
        )
        assert {"rejected": {"invalid_value": 1}} == report["reasons"]
        (rejected,) = lists.rejects()
        assert (1, "Invalid value for custom field Orders") == (rejected["file_row"], rejected["vendor_message"])


def test_an_error_that_is_none_of_the_vendor_s(lists):
    """A reply that no contract holds stops loudly, and says where it came from."""
    lists.sim.faults([{"vendor": lists.name, "path": "privileges", "status": 418, "body": "7"}])
    with pytest.raises(UnexpectedResponse, match="answered 418 with JSON that is not a Constant Contact error"):
        check(lists)


@pytest.mark.parametrize(
    ("api", "link"),
    [
        (constant_contact.account.BASE_URL, "https://app.constantcontact.com/pages/contacts/ui#contacts/7"),
        (
            "http://127.0.0.1:8100/constant_contact",
            "http://127.0.0.1:8100/constant_contact/v3/pages/contacts/ui#contacts/7",
        ),
    ],
)
def test_the_link_leads_to_the_list(api, link):
    """In the product, or at the simulator where that is what is exported to."""
    target = constant_contact.account.Audience(ApiEndpoint(api).base_url + "/v3", "all", "", "7")
    assert link == constant_contact.VENDOR.audience_link(target)
