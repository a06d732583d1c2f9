"""Converts phone numbers to E.164: `0170 1234567, DE -> +491701234567`."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from airflow_provider_segexport.trimming import trimmed

if TYPE_CHECKING:
    import phonenumbers

MAX_CHARS = 64
"""Maximum length of a text that is converted. E.164 has up to 15 digits; the other characters are separators."""

SEPARATORS = "[ ()./-]"
E164 = r"\+[1-9][0-9]{6,14}"
_ENDS = r"[\s\x00-\x1e\x7f-\x{A0}]*"
CONVERTIBLE = rf"{_ENDS}[\p{{Nd}}\p{{Z}}\p{{Pd}}\p{{Cf}}+()\[\]./~\x{{FF0B}}\x{{FF08}}\x{{FF09}}]+{_ENDS}"
"""Digits of any script, and the signs that people write between them, with control characters at the ends. Letters,
`#`, `*`, `,` and `;` are not among them, because they mark an extension, a service code or a second number. A control
character between digits may separate two numbers. U+001F is left out: it separates the parts of a key."""

NUMBER_DIGITS = 7
"""Digits of the shortest complete number (E.164). A slash between two such numbers separates two people's numbers."""

LOCAL_DIGITS = 5
"""Fewest digits after the slash behind an area code (`030/12345`). Fewer are an extension (`58858/15`) or the end of a
second number (`1234567/68`)."""

DATE = re.compile(r"(?:19|20)\d\d-\d\d-\d\d")
"""A date in a column of phone numbers. Some are valid numbers: 2024-05-12 is one in Germany."""

DECIMAL = re.compile(r"[^.]*\.\d{1,2}")
"""A decimal number, such as `1701234567.0` from a column of floats. With the zero behind the point as a digit, it is a
valid number of another person in Germany."""

NOT_NUMBERS = (DATE, DECIMAL)
"""Forms of texts that are no phone numbers."""


def to_e164(text: str, region: str | None) -> str | None:
    """Convert a phone number to E.164.

    A number in international form (`+49 170 1234567`) must be possible: its country code exists, and its length is
    right for the country. A number in national form depends on the region, which may be wrong. So it must also be
    valid there: its leading digits are in use.

    Args:
        text: as the segment has it, at most `MAX_CHARS` characters that `CONVERTIBLE` matches.
        region: ISO 3166-1 alpha-2 code of the country that a national number belongs to; None if it is unknown.

    Returns:
        The number; None if the text is not one complete number.
    """
    import phonenumbers  # noqa: PLC0415 - takes 0.2 s, and most segments have no number to convert

    digits = unicodedata.normalize("NFKC", trimmed(text))
    if digits.count("+") > 1 or _has_two_numbers(digits) or any(form.fullmatch(digits.strip()) for form in NOT_NUMBERS):
        return None
    is_international = re.match(r"\W*\+", digits) is not None
    if "+" in digits and not is_international:
        return None
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if number.extension or not (is_international or _is_certain(number, digits)):
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return written if re.fullmatch(E164, written) else None


def _has_two_numbers(text: str) -> bool:
    """Return whether a slash may separate a second number or an extension from the number."""
    head, slash, tail = text.partition("/")
    if not slash:
        return False
    return _digits(tail) < LOCAL_DIGITS or _digits(head) >= NUMBER_DIGITS


def without_separators(text: str) -> str:
    """Return the text without the signs that people write between digits."""
    return re.sub(SEPARATORS, "", text)


def _is_certain(number: phonenumbers.PhoneNumber, text: str) -> bool:
    """Return whether a number in national form is valid, and does not begin with a country code in place of a zero.

    Without this check, `49 170 1234567` in Germany would be a landline of the town with the area code 0491.
    """
    import phonenumbers  # noqa: PLC0415

    national = "".join(filter(str.isdecimal, text))
    is_ambiguous = national == str(number.national_number) and national.startswith(str(number.country_code))
    return phonenumbers.is_valid_number(number) and not is_ambiguous


def _digits(text: str) -> int:
    return sum(map(str.isdecimal, text))
