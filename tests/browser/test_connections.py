"""Connection forms as an administrator fills them in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from browser_shots import keep

from airflow_provider_segexport.provider_info import CONSENT_SECTION, MORE_SECTION, connection_type
from airflow_provider_segexport.simulator.connections import CREDENTIALS
from airflow_provider_segexport.vendors.registry import VENDORS


def form(site: Any, page: Any, title: str) -> Any:
    """The form of a new connection of a vendor."""
    page.goto(f"{site.ui.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").last.click()
    page.keyboard.type(title)
    page.get_by_role("option", name=title, exact=True).click()
    dialog.get_by_text(CONSENT_SECTION, exact=True).wait_for()
    return dialog


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_a_form_shows_what_its_vendor_needs(site, vendor):
    """Essentials are visible under the vendor's own labels; consent has its text; a responsible person is required."""
    about = connection_type(vendor)
    with site.page(size=(1200, 1240)) as page:
        dialog = form(site, page, vendor.title)
        for label in about["ui-field-behaviour"]["relabeling"].values():
            dialog.get_by_text(label).first.wait_for()
        assert dialog.locator('input[name="port"]').get_attribute("placeholder") == "443"
        assert dialog.locator('input[name="schema"]').count() == 0
        dialog.get_by_text(CONSENT_SECTION, exact=True).click()
        for field in about["conn-fields"].values():
            if field["schema"]["section"] == CONSENT_SECTION:
                dialog.get_by_text(field["label"]).first.wait_for()
                dialog.get_by_text(field["description"], exact=True).wait_for()
        dialog.get_by_text("This field is required").wait_for()
        assert dialog.get_by_role("button", name="Save").is_disabled()
        keep(page, f"connection-{vendor.name}-consent", clip=dialog)
        dialog.get_by_text(MORE_SECTION, exact=True).click()
        dialog.get_by_text(f"Default {vendor.audience_noun}").first.wait_for()
        keep(page, f"connection-{vendor.name}-audience", clip=dialog)


def fill(site: Any, dialog: Any, vendor: Any, conn_id: str, *, secret: str | None = None) -> None:
    """Fill a form in for the simulated vendor."""
    described = site.sim("/_sim")["vendors"][vendor.name]
    dialog.locator('input[name="connection_id"]').fill(conn_id)
    dialog.locator('input[name="host"]').fill(described["base_url"])
    dialog.locator('input[name="port"]').fill("443")
    extra = {}
    for field, credential in CREDENTIALS[vendor.name].items():
        value = secret or described["credentials"][credential]
        if field.startswith("extra."):
            extra[field.removeprefix("extra.")] = value
        else:
            dialog.locator(f'input[name="{field}"]').fill(value)
    dialog.get_by_text(CONSENT_SECTION, exact=True).click()
    dialog.locator('input[name="element_privacy_consent"]').evaluate("one => one.click()")
    dialog.locator('input[name="element_consented_by"]').fill("Ann Administrator")
    dialog.locator('input[name="element_allowed_dags"]').fill("segment_*")
    dialog.get_by_text(MORE_SECTION, exact=True).click()
    dialog.locator('input[name="element_default_audience"]').fill(str(described["audiences"][0]["id"]))
    for name, value in extra.items():
        dialog.locator(f'input[name="element_{name}"]').fill(value)


def pressed_test(page: Any, conn_id: str) -> str:
    """Press Test of a saved connection, by the keyboard: Airflow's word of the saving may lie over it."""
    row = page.get_by_role("row", name=re.compile(rf"\b{conn_id}\b"))
    row.get_by_role("button").first.press("Enter")
    toast = page.locator("[data-scope=toast][data-part=root]").filter(has_text="Test Connection")
    toast.wait_for()
    return str(toast.inner_text())


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_a_connection_that_was_filled_in_reaches_account_and_audience(site, vendor):
    """Saved from the form, read again by Test: it names both."""
    conn_id = f"made_{vendor.name}"
    described = site.sim("/_sim")["vendors"][vendor.name]
    with site.page(size=(1200, 1000)) as page:
        dialog = form(site, page, vendor.title)
        fill(site, dialog, vendor, conn_id)
        dialog.get_by_role("button", name="Save").click()
        dialog.wait_for(state="hidden")
        connection = site.api.call("GET", f"/api/v2/connections/{conn_id}")
        assert (vendor.name, 443) == (connection["conn_type"], connection["port"])
        message = pressed_test(page, conn_id)
        assert f"{vendor.title} account" in message
        assert str(described["audiences"][0]["name"]) in message
        assert "Not ready" not in message
        keep(page, f"connection-{vendor.name}-test-good")


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_a_wrong_secret_is_an_error_without_the_secret(site, vendor):
    """The message names the error and the fix."""
    conn_id, secret = f"wrong_{vendor.name}", "not-the-secret-0123456789"
    with site.page(size=(1200, 1000)) as page:
        dialog = form(site, page, vendor.title)
        fill(site, dialog, vendor, conn_id, secret=secret)
        dialog.get_by_role("button", name="Save").click()
        dialog.wait_for(state="hidden")
        message = pressed_test(page, conn_id)
        assert secret not in page.content()
        assert f"{vendor.title} account" not in message
        keep(page, f"connection-{vendor.name}-test-bad")
