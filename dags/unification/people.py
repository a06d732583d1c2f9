"""Computes columns of the example's people: values that never change, and values as of an event.

The values are correct; `source_errors` adds the errors of each source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unification.locales import locales, per_locale, pool
from unification.population import EPOCH, EventHistory

if TYPE_CHECKING:
    from unification.seeded_random import Ints, SeededRandom, Shares

GENDERS = ("female", "male", "other")
GENDER_SHARES = [0.5, 0.485, 0.015]
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.net")
DOMAIN_SHARES = [0.5, 0.2, 0.15, 0.1, 0.05]
IDN_DOMAINS = ("münchen.example.com", "bücher.example.org", "почта.example.net", "例え.example.com")
IDN_SHARE = 0.008
NON_ASCII_LOCAL_SHARE = 0.012  # of all people; six of ten of them have a name that is not ASCII
SAME_PHONE_SHARE = 0.01  # share of households whose two members have the same number
YOUNGEST_DAYS, AGE_SPAN_DAYS = 18 * 365, 70 * 365
NUMBER_SPACE = 10**8  # coprime with the multiplier below, so distant ids get different numbers
SECONDS_A_DAY = 86_400
WANTED_NEWSLETTER_SHARE = 0.75
NEVER_ORDERED_SHARE = 0.08
FIRST_ORDERS = 3
CHEAPEST_BASKET, DEAREST_BASKET = 15.0, 180.0


def text(values: Any) -> Any:
    """Return numbers as text."""
    return pc.cast(pa.array(values), pa.string())


def joined_text(*parts: Any, by: str = "") -> Any:
    """Concatenate columns; a row with a missing part is missing."""
    return pc.binary_join_element_wise(*parts, by)


def timestamp(day: Ints, seconds: Ints | int = 0) -> Any:
    """Return UTC timestamps of days since the epoch and seconds into the day."""
    moments = np.datetime64(EPOCH, "s") + day * SECONDS_A_DAY + seconds
    return pa.array(moments.astype("datetime64[us]"))


@dataclass(frozen=True)
class People:
    """Some people, each as of one event.

    Attributes:
        history: the people's events.
        event: number of the event for each person.
    """

    history: EventHistory
    event: Ints

    @property
    def ids(self) -> Ints:
        """Ids of the people."""
        return self.history.ids

    @property
    def random(self) -> SeededRandom:
        """Random numbers of the population's seed."""
        return self.history.population.random

    @cached_property
    def locale(self) -> Ints:
        """Position of each person's locale. The two members of a household (neighbouring ids) share one."""
        weights = [locale["weight"] for locale in locales()]
        return self.history.population.choice_by_share(self.ids // 2, "locale", weights)

    @cached_property
    def gender(self) -> Ints:
        """Position of each person's gender in GENDERS."""
        return self.history.population.choice_by_share(self.ids, "gender", GENDER_SHARES)

    def genders(self) -> Any:
        """Return genders as text."""
        return pa.array(GENDERS).take(pa.array(self.gender))

    def first_names(self, part: str = "") -> Any:
        """Return given names in their own script, or in ASCII."""
        bits = self.random.bits(self.ids, "first name")
        female, male = pool("female", part), pool("male", part)
        return pc.if_else(
            pa.array(self.gender == 1),
            male.values.take(pa.array(male.pick(self.locale, bits))),
            female.values.take(pa.array(female.pick(self.locale, bits))),
        )

    def last_names(self, part: str = "", *, at_birth: bool = False) -> Any:
        """Return surnames in their own script, or in ASCII; a rename draws another one."""
        renames = 0 if at_birth else self.history.count("R", self.event)
        names = pool("surnames", part)
        bits = self.random.bits(self.ids, "last name", renames)
        return names.values.take(pa.array(names.pick(self.locale, bits)))

    def emails(self) -> Any:
        """Return email addresses at domains reserved for examples: one for each person, which never changes."""
        random, ids = self.random, self.ids
        plain = joined_text(self.first_names("ascii"), ".", self.last_names("ascii", at_birth=True))
        own_script = pc.replace_substring_regex(pc.utf8_lower(self.first_names()), r"[\s'.]", "")
        keeps_script = pa.array(random.share(ids, "non-ASCII local part") < NON_ASCII_LOCAL_SHARE)
        local = joined_text(pc.if_else(keeps_script, own_script, plain), text(ids))
        population = self.history.population
        plain_domain = pa.array(DOMAINS).take(pa.array(population.choice_by_share(ids, "domain", DOMAIN_SHARES)))
        idn = pa.array(IDN_DOMAINS).take(pa.array(random.below(ids, "IDN", len(IDN_DOMAINS))))
        has_idn = pa.array(random.share(ids, "has IDN") < IDN_SHARE)
        return joined_text(local, "@", pc.if_else(has_idn, idn, plain_domain))

    def birthdates(self) -> Any:
        """Return birthdates of adults of all ages."""
        days = -YOUNGEST_DAYS - self.random.below(self.ids, "birthdate", AGE_SPAN_DAYS)
        return pa.array((np.datetime64(EPOCH, "D") + days).astype("datetime64[D]"))

    def phones(self) -> Any:
        """Return E.164 numbers. The two members of some households have the same number."""
        changes = self.history.count("P", self.event)
        shared = self.random.share(self.ids // 2, "one phone") < SAME_PHONE_SHARE
        owner = np.where(shared, self.ids // 2 * 2, self.ids)
        number = (owner * 7_654_321 + np.where(shared, 0, changes) * 22_801_763) % NUMBER_SPACE
        digits = pc.utf8_lpad(text(number), 8, "0")
        return joined_text("+", per_locale("mobile").take(pa.array(self.locale)), digits)

    def addresses(self) -> dict[str, Any]:
        """Return street, city, state and postcode; a move draws all of them again, in the same country."""
        moves = self.history.count("M", self.event)
        streets, cities = pool("streets"), pool("cities", "city")
        street = streets.values.take(pa.array(streets.pick(self.locale, self.random.bits(self.ids, "street", moves))))
        number = text(1 + self.random.below(self.ids, "house number", 199, moves))
        first = per_locale("number_first").take(pa.array(self.locale))
        city = pa.array(cities.pick(self.locale, self.random.bits(self.ids, "city", moves)))
        return {
            "address": pc.if_else(first, joined_text(number, " ", street), joined_text(street, " ", number)),
            "city": cities.values.take(city),
            "state": pool("cities", "state").values.take(city),
            "postcode": self._postcodes(city, moves),
        }

    def countries(self, field: str = "country") -> Any:
        """Return the country's code, or another of its fields."""
        return per_locale(field).take(pa.array(self.locale))

    def wants_newsletter(self) -> Any:
        """Return the current consent: the first answer, reversed by each change."""
        first = self.random.share(self.ids, "newsletter") < WANTED_NEWSLETTER_SHARE
        return pa.array(first ^ (self.history.count("C", self.event) % 2 == 1))

    def newsletter_consent_times(self) -> Any:
        """Return when people last agreed to the newsletter; missing for people who do not want it."""
        answered = self.history.day_of(self.history.last("C", self.event))
        return pc.if_else(self.wants_newsletter(), timestamp(answered, self.seconds("consent time")), None)

    def purchases(self) -> dict[str, Any]:
        """Return the number of orders, their revenue, and the time of the last order."""
        history, random = self.history, self.random
        joined = history.population.joined(self.ids)
        last = np.minimum(history.event_count(history.ordering_until()), self.event)
        since = history.count("O", last) - history.count("O", history.event_count(joined))
        ordered = random.share(self.ids, "never ordered") >= NEVER_ORDERED_SHARE
        first = 1 + random.below(self.ids, "first orders", FIRST_ORDERS)
        orders = np.where(ordered, first + np.maximum(since, 0), 0)
        spent = np.round(orders * self._basket(), 2)
        last_order = timestamp(history.day_of(history.last("O", last)), self.seconds("order time"))
        return {
            "orders": pa.array(orders),
            "revenue": pa.array(spent),
            "last_order_at": pc.if_else(pa.array(ordered), last_order, None),
        }

    def seconds(self, purpose: str) -> Ints:
        """Return a time of day for each person, in seconds."""
        return self.random.below(self.ids, purpose, SECONDS_A_DAY)

    def _basket(self) -> Shares:
        """Return each person's revenue for one order; most values are small."""
        share = self.random.share(self.ids, "basket")
        return CHEAPEST_BASKET + (DEAREST_BASKET - CHEAPEST_BASKET) * share**3

    def _postcodes(self, city: Any, moves: Ints) -> Any:
        """Return postcodes: the city's prefix, as many digits as the country has, and the country's ending."""
        widths = np.array(per_locale("digits"))[self.locale]
        number = self.random.below(self.ids, "postcode", 10**widths, moves)
        padded = pc.utf8_slice_codeunits(text(number + 10**5), 1)
        digits = pc.if_else(pa.array(widths == 0), "", padded)
        for width in np.unique(widths[widths > 0]):
            rows = pa.array(widths == width)
            cut = pc.utf8_slice_codeunits(padded.filter(rows), int(-width), None)
            digits = pc.replace_with_mask(digits, rows, cut)
        endings = pool("endings")
        ending = endings.values.take(pa.array(endings.pick(self.locale, self.random.bits(self.ids, "ending", moves))))
        return joined_text(pool("cities", "postcode").values.take(city), digits, ending)
