"""Distinguishes raw digests from texts in a column of bytes of a suppression list.

A digest has 16, 20 or 32 bytes, and a text may have as many. A text that is taken for a digest would protect no person,
so bytes that look like a text are read as a text. If the text is not an address, the entry counts as not understood.

All patterns match bytes in hexadecimal, because the bytes of a digest are not a text.
"""

from __future__ import annotations

from airflow_provider_segexport.storage.duckdb_engine import Engine

DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}
"""Bytes by kind of hash. The kind is the name of the engine's function."""

_PAD = "(00|09|0A|0C|0D|20)*"
_HIGH = "[89A-F][0-9A-F]"
_ASCII = "(09|0A|0D|[2-6][0-9A-F]|7[0-9A-E])"
_BYTE = f"({_ASCII}|{_HIGH})"
_LOCAL = "(2[1-7A-F]|3[0-9DF]|5[A-F]|[46][1-9A-F]|[57][0-9A]|7[B-E])"
_DOMAIN = "(2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A])"
_LETTER = "([46][1-9A-F]|[57][0-9A])"

LEGACY_ADDRESS = (
    f"{_PAD}{_LOCAL}*({_HIGH}{_LOCAL}*){{0,2}}40({_DOMAIN}|{_HIGH}{_DOMAIN})+2E{_LETTER}{{2,}}({_HIGH}){{0,2}}{_PAD}"
)
"""An address, perhaps padded and in another character set than UTF-8, such as Latin-1."""

UTF_16 = f"(FFFE|FEFF)?(({_BYTE}00)+|(00{_BYTE})+){_PAD}"
"""A text in UTF-16."""

MD5_DIGITS = "(3[0-9]|[46][1-6]){32}"
"""A hexadecimal MD5."""

TEXT = f"{LEGACY_ADDRESS}|{UTF_16}|{MD5_DIGITS}"
"""Bytes that are certainly a text: one or two of a hundred million MD5 digests match."""

ADDRESS = f"{_PAD}{_BYTE}+40{_BYTE}*2E{_BYTE}*{_PAD}"
"""Bytes with `@` and a dot and without control characters. If they are UTF-8, they are certainly a text."""

FOREIGN_ADDRESS = (
    f"{_PAD}{_ASCII}*({_HIGH}{_ASCII}*){{0,2}}40({_DOMAIN}|{_HIGH})+2E({_LETTER}|{_HIGH}){{2,}}(2[27C]|3[BE])?{_PAD}"
)
"""Perhaps an address in another character set. Fourteen of a million MD5 digests are such bytes, so other entries of
the column decide."""

PRINTABLE = f"{_PAD}{_BYTE}*{_PAD}"
"""Bytes without control characters. Of a million MD5 digests, up to four are such bytes and UTF-8."""

CONTROL = f"{_PAD}(..)*(0[0-8BCEF]|1[0-9A-F]|7F)(..)*"
"""Bytes with a control character that does not pad them. Six of seven MD5 digests have one."""


def cell_text(engine: Engine, table: str, cell: str, *, digests: bool) -> str:
    """Return SQL of a cell of bytes as text. A digest becomes hexadecimal, and any other non-text becomes `?`.

    Args:
        engine: holds the table.
        table: table with rows of the list. They decide whether an entry that may be either is a digest or a text.
        cell: name of a column of bytes in the table.
        digests: whether the column may hold digests, because its file does not declare it as text.
    """
    text = f"coalesce(try(decode({cell})), '?')"
    if digests:
        is_digest = _is_digest(cell, f"when {_matches(cell, ADDRESS)} then try(decode({cell})) is null")
        if not _holds_digests(engine, table, cell, is_digest):
            perhaps = f"when {_matches(cell, FOREIGN_ADDRESS)} then false when {_matches(cell, PRINTABLE)}"
            is_digest = _is_digest(cell, f"{perhaps} then try(decode({cell})) is null")
        text = f"case when {is_digest} then hex({cell}) else {text} end"
    return f"case when {cell} is not null then {text} end"


def _is_digest(cell: str, exceptions: str) -> str:
    sizes = ", ".join(map(str, DIGEST_BYTES.values()))
    texts = f"when octet_length({cell}) not in ({sizes}) or {_matches(cell, TEXT)} then false"
    return f"case {texts} {exceptions} else true end"


def _holds_digests(engine: Engine, table: str, cell: str, is_digest: str) -> bool:
    """Return whether half of the entries that may be digests have a control character, as random bytes do."""
    digits = f"regexp_replace(hex({cell}), '(00)+$', '')"
    count, random = engine.single_row(
        f"""select count(*), count(*) filter (regexp_full_match({digits}, '{CONTROL}')) from {table}
        where {cell} is not null and {is_digest}"""
    )
    return bool(2 * random >= count > 0)


def _matches(cell: str, pattern: str) -> str:
    return f"regexp_full_match(hex({cell}), '{pattern}')"
