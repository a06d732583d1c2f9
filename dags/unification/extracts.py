"""Generates three raw extracts as Parquet: CRM, web shop and newsletter.

The three sources have records of the same people. Each source has its own columns, spellings, errors and gaps. It has
also missed some events, so values conflict, and ``updated_at`` shows which value is newer. Timestamps are in UTC,
without a zone. ``population`` describes how the people change from day to day.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from unification.data_files import write_atomically
from unification.people import People, joined_text, text, timestamp
from unification.population import CRM, NEWSLETTER, SHOP, EventHistory, Population
from unification.source_errors import SourceWriter, always

if TYPE_CHECKING:
    from unification.seeded_random import Ints

DEFAULT_SEED = 20_200_101
GUEST_SHARE = 0.02  # share of the shop's customers with an order as a guest, too
GUEST_MISSED_EVENTS = 3  # events that happened after the order as a guest
PENDING_SHARE = 0.03  # share of the newsletter's rows with the status `pending`
UNKNOWN_BIRTHDATE = date(1900, 1, 1)  # default of a form


def extracts(persons: int, day: date, seed: int = DEFAULT_SEED) -> dict[str, pa.Table]:
    """Return the three sources at the beginning of a day.

    Args:
        persons: number of people.
        day: the day, after `population.EPOCH`.
        seed: seed of the random numbers.
    """
    population = Population(seed, persons, day)
    ids = population.member_ids()
    source_mask = population.source_mask(ids)
    customers = ids[source_mask & SHOP > 0]
    guests = customers[population.random.share(customers, "guest") < GUEST_SHARE]
    return {
        "crm": crm(_as_recorded(population, ids[source_mask & CRM > 0], "crm")),
        "shop": pa.concat_tables(
            [
                shop(_as_recorded(population, customers, "shop")),
                shop(_as_recorded(population, guests, "guest"), guest=True),
            ]
        ),
        "newsletter": newsletter(_as_recorded(population, ids[source_mask & NEWSLETTER > 0], "newsletter")),
    }


def write_extracts(tables: dict[str, pa.Table], root: str, day: date) -> dict[str, str]:
    """Write each source to the day's folder.

    Args:
        tables: table by source.
        root: root of the example's data.
        day: the day of the extracts.

    Returns:
        Path by source.
    """
    return {name: write_atomically(table, f"{root}/extracts/{day}/{name}.parquet") for name, table in tables.items()}


def crm(people: People) -> pa.Table:
    """Return the CRM's table. Staff have entered it: it has most personal data and no orders."""
    writer = SourceWriter(people, "crm")
    home = people.addresses()
    columns = {
        "crm_id": joined_text("crm-", text(people.ids)),
        "email": writer.emails(missing=0.07, mistyped=0.015),
        **_names(writer, "given_name", "family_name", missing=0.02),
        "sex": writer.with_gaps("sex", _gender_words(people, ("F", "M", "X")), 0.15),
        "date_of_birth": writer.with_gaps("birthdate", _birthdates(writer), 0.35),
        "phone": writer.phones(missing=0.15),
        "street": writer.with_gaps("street", _with_second_lines(writer, home["address"]), 0.05),
        "town": writer.with_gaps("town", home["city"], 0.04),
        "region": home["state"],
        "zip": writer.with_gaps("zip", home["postcode"], 0.05),
        "country": writer.with_gaps("country", people.countries(), 0.02),
        "newsletter_opt_in": writer.with_gaps("consent", people.wants_newsletter(), 0.25),
        "modified_at": _updated_at(people, "crm"),
    }
    return pa.table(columns)


def shop(people: People, *, guest: bool = False) -> pa.Table:
    """Return the shop's table. Customers have entered it, and it has orders.

    Args:
        people: the customers.
        guest: return the rows of orders without login; such a customer also has a row with login.
    """
    writer = SourceWriter(people, "guest" if guest else "shop")
    home = people.addresses()
    purchases = people.purchases()
    orders, revenue = purchases["orders"], purchases["revenue"]
    if guest:
        ordered = pc.greater(orders, 0)
        orders, revenue = pc.cast(ordered, pa.int64()), pc.if_else(ordered, pc.divide(revenue, orders), 0.0)
    columns = {
        "customer_no": joined_text("guest-" if guest else "shop-", text(people.ids)),
        "email": writer.emails(missing=0.01, mistyped=0.006),
        **_names(writer, "first_name", "last_name", missing=0.04),
        "salutation": writer.with_gaps("salutation", _gender_words(people, ("Ms", "Mr", "Mx")), 0.4),
        "phone": writer.phones(missing=0.3),
        "address": writer.with_gaps("address", home["address"], 0.08),
        "city": writer.with_gaps("city", home["city"], 0.08),
        "state": home["state"],
        "postcode": writer.with_gaps("postcode", home["postcode"], 0.06),
        "country_name": writer.with_gaps("country", people.countries("name"), 0.05),
        "marketing": writer.with_gaps("consent", pc.if_else(people.wants_newsletter(), "yes", "no"), 0.3),
        "orders": orders,
        "revenue": pc.round(revenue, 2),
        "last_order_at": purchases["last_order_at"],
        "updated_at": _updated_at(people, writer.source),
    }
    return pa.table(columns)


def newsletter(people: People) -> pa.Table:
    """Return the newsletter's table. It has an address, a status and few other fields."""
    writer = SourceWriter(people, "newsletter")
    full = joined_text(people.first_names(), people.last_names(), by=" ")
    in_ascii = joined_text(people.first_names("ascii"), people.last_names("ascii"), by=" ")
    status = pc.if_else(people.wants_newsletter(), "subscribed", "unsubscribed")
    born = pc.strftime(_birthdates(writer), format="%d.%m.%Y")
    columns = {
        "subscriber_id": joined_text("nl-", text(people.ids)),
        "email": writer.emails(missing=0.002, mistyped=0.01),
        "name": writer.names("name", full, in_ascii, missing=0.3),
        "born": writer.with_gaps("born", born, 0.7),
        "country": writer.with_gaps("country", pc.utf8_lower(people.countries()), 0.3),
        "status": writer.apply("status", status, [(PENDING_SHARE, always("pending"))]),
        "subscribed_at": people.newsletter_consent_times(),
        "updated_at": _updated_at(people, "newsletter"),
    }
    return pa.table(columns)


def _as_recorded(population: Population, ids: Ints, source: str) -> People:
    """Return the people as of the last event that a source has recorded."""
    history = EventHistory(population, ids)
    event = history.last_event_seen(source)
    return People(history, event - GUEST_MISSED_EVENTS if source == "guest" else event)


def _updated_at(people: People, source: str) -> Any:
    """Return when the source last updated each person."""
    return timestamp(people.history.day_of(people.event), people.seconds(f"{source} touched"))


def _names(writer: SourceWriter, first: str, last: str, *, missing: float) -> dict[str, Any]:
    people = writer.people
    return {
        first: writer.names(first, people.first_names(), people.first_names("ascii"), missing=missing),
        last: writer.names(last, people.last_names(), people.last_names("ascii"), missing=missing),
    }


def _gender_words(people: People, spellings: tuple[str, str, str]) -> Any:
    """Return the gender in a source's own spelling."""
    return pa.array(spellings).take(pa.array(people.gender))


def _birthdates(writer: SourceWriter) -> Any:
    """Return birthdates; one in a hundred is `UNKNOWN_BIRTHDATE`."""
    return writer.apply("birthdate", writer.people.birthdates(), [(0.01, always(UNKNOWN_BIRTHDATE))])


def _with_second_lines(writer: SourceWriter, streets: Any) -> Any:
    """Return streets, a few of them with a second line."""
    return writer.apply("second line", streets, [(0.003, lambda values: joined_text(values, "\n2nd floor"))])
