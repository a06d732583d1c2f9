"""(persons, day, seed) -> three raw extracts as Parquet: CRM, web shop, newsletter.

The same people, seen three times. Each source has its own columns and words, has missed some of what
happened (so values conflict, and ``updated_at`` tells which is fresher), and has its own errors and gaps.
Timestamps are in UTC and bear no zone. ``world`` says how the people move from day to day.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from unification.dirt import Pen, always
from unification.landing import land
from unification.people import People, at, joined_text, text
from unification.world import CRM, NEWSLETTER, SHOP, Histories, World

if TYPE_CHECKING:
    from unification.draws import Ints

DEFAULT_SEED = 20_200_101
GUEST_SHARE = 0.02  # of the shop's customers who have ordered without signing in, too
GUEST_MISSED_EVENTS = 3
PENDING_SHARE = 0.03
NOBODY_KNOWS = date(1900, 1, 1)


def extracts(persons: int, day: date, seed: int = DEFAULT_SEED) -> dict[str, pa.Table]:
    """The three sources as they stand when the day begins."""
    world = World(seed, persons, day)
    ids = world.population()
    known_to = world.known_to(ids)
    customers = ids[known_to & SHOP > 0]
    guests = customers[world.draws.share(customers, "guest") < GUEST_SHARE]
    return {
        "crm": crm(_seen(world, ids[known_to & CRM > 0], "crm")),
        "shop": pa.concat_tables(
            [shop(_seen(world, customers, "shop")), shop(_seen(world, guests, "guest"), guest=True)]
        ),
        "newsletter": newsletter(_seen(world, ids[known_to & NEWSLETTER > 0], "newsletter")),
    }


def write_extracts(tables: dict[str, pa.Table], root: str, day: date) -> dict[str, str]:
    """Write each source to a folder of the day, and say where."""
    return {name: land(table, f"{root}/extracts/{day}/{name}.parquet") for name, table in tables.items()}


def crm(people: People) -> pa.Table:
    """Typed in by staff: complete on who people are, knows no orders."""
    pen = Pen(people, "crm")
    home = people.addresses()
    columns = {
        "crm_id": joined_text("crm-", text(people.ids)),
        "email": pen.emails(missing=0.07, mistyped=0.015),
        **_names(pen, "given_name", "family_name", missing=0.02),
        "sex": pen.gaps("sex", _words(people, ("F", "M", "X")), 0.15),
        "date_of_birth": pen.gaps("birthdate", _birthdates(pen), 0.35),
        "phone": pen.phones(missing=0.15),
        "street": pen.gaps("street", _second_line(pen, home["address"]), 0.05),
        "town": pen.gaps("town", home["city"], 0.04),
        "region": home["state"],
        "zip": pen.gaps("zip", home["postcode"], 0.05),
        "country": pen.gaps("country", people.countries(), 0.02),
        "newsletter_opt_in": pen.gaps("consent", people.wants_newsletter(), 0.25),
        "modified_at": _touched(people, "crm"),
    }
    return pa.table(columns)


def shop(people: People, *, guest: bool = False) -> pa.Table:
    """Typed in by customers: knows the orders. Someone who ordered as a guest is there twice."""
    pen = Pen(people, "guest" if guest else "shop")
    home = people.addresses()
    bought = people.purchases()
    orders, revenue = bought["orders"], bought["revenue"]
    if guest:
        some = pc.greater(orders, 0)
        orders, revenue = pc.cast(some, pa.int64()), pc.if_else(some, pc.divide(revenue, orders), 0.0)
    columns = {
        "customer_no": joined_text("guest-" if guest else "shop-", text(people.ids)),
        "email": pen.emails(missing=0.01, mistyped=0.006),
        **_names(pen, "first_name", "last_name", missing=0.04),
        "salutation": pen.gaps("salutation", _words(people, ("Ms", "Mr", "Mx")), 0.4),
        "phone": pen.phones(missing=0.3),
        "address": pen.gaps("address", home["address"], 0.08),
        "city": pen.gaps("city", home["city"], 0.08),
        "state": home["state"],
        "postcode": pen.gaps("postcode", home["postcode"], 0.06),
        "country_name": pen.gaps("country", people.countries("name"), 0.05),
        "marketing": pen.gaps("consent", pc.if_else(people.wants_newsletter(), "yes", "no"), 0.3),
        "orders": orders,
        "revenue": pc.round(revenue, 2),
        "last_order_at": bought["last_order_at"],
        "updated_at": _touched(people, pen.source),
    }
    return pa.table(columns)


def newsletter(people: People) -> pa.Table:
    """A sign-up form: an address, a status, and little else."""
    pen = Pen(people, "newsletter")
    full = joined_text(people.first_names(), people.last_names(), by=" ")
    in_ascii = joined_text(people.first_names("ascii"), people.last_names("ascii"), by=" ")
    status = pc.if_else(people.wants_newsletter(), "subscribed", "unsubscribed")
    born = pc.strftime(_birthdates(pen), format="%d.%m.%Y")
    columns = {
        "subscriber_id": joined_text("nl-", text(people.ids)),
        "email": pen.emails(missing=0.002, mistyped=0.01),
        "name": pen.names("name", full, in_ascii, missing=0.3),
        "born": pen.gaps("born", born, 0.7),
        "country": pen.gaps("country", pc.utf8_lower(people.countries()), 0.3),
        "status": pen.treat("status", status, [(PENDING_SHARE, always("pending"))]),
        "updated_at": _touched(people, "newsletter"),
    }
    return pa.table(columns)


def _seen(world: World, ids: Ints, source: str) -> People:
    """The people as the source knows them."""
    histories = Histories(world, ids)
    event = histories.seen_by(source)
    return People(histories, event - GUEST_MISSED_EVENTS if source == "guest" else event)


def _touched(people: People, source: str) -> Any:
    """When the source last heard of each person."""
    return at(people.histories.day_of(people.event), people.seconds(f"{source} touched"))


def _names(pen: Pen, first: str, last: str, *, missing: float) -> dict[str, Any]:
    people = pen.people
    return {
        first: pen.names(first, people.first_names(), people.first_names("ascii"), missing=missing),
        last: pen.names(last, people.last_names(), people.last_names("ascii"), missing=missing),
    }


def _words(people: People, words: tuple[str, str, str]) -> Any:
    """The gender in a source's own words."""
    return pa.array(words).take(pa.array(people.gender))


def _birthdates(pen: Pen) -> Any:
    """One in a hundred is the date a form is filled with when nobody knows."""
    return pen.treat("birthdate", pen.people.birthdates(), [(0.01, always(NOBODY_KNOWS))])


def _second_line(pen: Pen, streets: Any) -> Any:
    """A few addresses are two lines in one field."""
    return pen.treat("second line", streets, [(0.003, lambda values: joined_text(values, "\n2nd floor"))])
