"""Codes and English names of countries (ISO 3166-1), and their common aliases."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from airflow_provider_segexport.trimming import trimmed

# ISO 3166-1 alpha-2, officially assigned (iso3166.tab of the tz database, current as of ISO/TC 46 N1108; read 2026-11).
CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR "
    "GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT "
    "JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO "
    "TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)

CODE_CHARS = 2

ALIASES = {"UK": "GB", "EL": "GR"}
"""Codes that people and the European Union's publications use for these two countries; ISO 3166-1 reserves them."""


# English names (iso3166.tab of the tz database, read 2026-11).
NAMES = (
    "AD Andorra; AE United Arab Emirates; AF Afghanistan; AG Antigua & Barbuda; AI Anguilla; AL Albania; AM Armenia; "
    "AO Angola; AQ Antarctica; AR Argentina; AS American Samoa; AT Austria; AU Australia; AW Aruba; AX Åland Islands; "
    "AZ Azerbaijan; BA Bosnia & Herzegovina; BB Barbados; BD Bangladesh; BE Belgium; BF Burkina Faso; BG Bulgaria; "
    "BH Bahrain; BI Burundi; BJ Benin; BL Saint Barthelemy; BM Bermuda; BN Brunei; BO Bolivia; "
    "BQ Caribbean Netherlands; "
    "BR Brazil; BS Bahamas; BT Bhutan; BV Bouvet Island; BW Botswana; BY Belarus; BZ Belize; CA Canada; "
    "CC Cocos (Keeling) Islands; CD Democratic Republic of the Congo; CF Central African Republic; "
    "CG Republic of the Congo; CH Switzerland; CI Côte d'Ivoire; CK Cook Islands; CL Chile; CM Cameroon; CN China; "
    "CO Colombia; CR Costa Rica; CU Cuba; CV Cape Verde; CW Curaçao; CX Christmas Island; CY Cyprus; "
    "CZ Czech Republic; DE Germany; DJ Djibouti; DK Denmark; DM Dominica; DO Dominican Republic; DZ Algeria; "
    "EC Ecuador; EE Estonia; EG Egypt; EH Western Sahara; ER Eritrea; ES Spain; ET Ethiopia; FI Finland; FJ Fiji; "
    "FK Falkland Islands; FM Micronesia; FO Faroe Islands; FR France; GA Gabon; GB United Kingdom; GD Grenada; "
    "GE Georgia; GF French Guiana; GG Guernsey; GH Ghana; GI Gibraltar; GL Greenland; GM Gambia; GN Guinea; "
    "GP Guadeloupe; GQ Equatorial Guinea; GR Greece; GS South Georgia & the South Sandwich Islands; GT Guatemala; "
    "GU Guam; GW Guinea-Bissau; GY Guyana; HK Hong Kong; HM Heard Island & McDonald Islands; HN Honduras; HR Croatia; "
    "HT Haiti; HU Hungary; ID Indonesia; IE Ireland; IL Israel; IM Isle of Man; IN India; "
    "IO British Indian Ocean Territory; IQ Iraq; IR Iran; IS Iceland; IT Italy; JE Jersey; JM Jamaica; JO Jordan; "
    "JP Japan; KE Kenya; KG Kyrgyzstan; KH Cambodia; KI Kiribati; KM Comoros; KN Saint Kitts & Nevis; KP North Korea; "
    "KR South Korea; KW Kuwait; KY Cayman Islands; KZ Kazakhstan; LA Laos; LB Lebanon; LC Saint Lucia; "
    "LI Liechtenstein; LK Sri Lanka; LR Liberia; LS Lesotho; LT Lithuania; LU Luxembourg; LV Latvia; LY Libya; "
    "MA Morocco; MC Monaco; MD Moldova; ME Montenegro; MF Saint Martin; MG Madagascar; MH Marshall Islands; "
    "MK North Macedonia; ML Mali; MM Myanmar; MN Mongolia; MO Macau; MP Northern Mariana Islands; MQ Martinique; "
    "MR Mauritania; MS Montserrat; MT Malta; MU Mauritius; MV Maldives; MW Malawi; MX Mexico; MY Malaysia; "
    "MZ Mozambique; NA Namibia; NC New Caledonia; NE Niger; NF Norfolk Island; NG Nigeria; NI Nicaragua; "
    "NL Netherlands; NO Norway; NP Nepal; NR Nauru; NU Niue; NZ New Zealand; OM Oman; PA Panama; PE Peru; "
    "PF French Polynesia; PG Papua New Guinea; PH Philippines; PK Pakistan; PL Poland; PM Saint Pierre & Miquelon; "
    "PN Pitcairn; PR Puerto Rico; PS Palestine; PT Portugal; PW Palau; PY Paraguay; QA Qatar; RE Réunion; RO Romania; "
    "RS Serbia; RU Russia; RW Rwanda; SA Saudi Arabia; SB Solomon Islands; SC Seychelles; SD Sudan; SE Sweden; "
    "SG Singapore; SH Saint Helena; SI Slovenia; SJ Svalbard & Jan Mayen; SK Slovakia; SL Sierra Leone; "
    "SM San Marino; SN Senegal; SO Somalia; SR Suriname; SS South Sudan; ST Sao Tome & Principe; SV El Salvador; "
    "SX Saint Maarten; SY Syria; SZ Eswatini; TC Turks & Caicos Islands; TD Chad; TF French Southern Territories; "
    "TG Togo; "
    "TH Thailand; TJ Tajikistan; TK Tokelau; TL East Timor; TM Turkmenistan; TN Tunisia; TO Tonga; TR Turkey; "
    "TT Trinidad & Tobago; TV Tuvalu; TW Taiwan; TZ Tanzania; UA Ukraine; UG Uganda; UM US minor outlying islands; "
    "US United States; UY Uruguay; UZ Uzbekistan; VA Vatican City; VC Saint Vincent & the Grenadines; VE Venezuela; "
    "VG British Virgin Islands; VI U.S. Virgin Islands; VN Vietnam; VU Vanuatu; WF Wallis & Futuna; WS Samoa; "
    "YE Yemen; YT Mayotte; ZA South Africa; ZM Zambia; ZW Zimbabwe "
)

OTHER_NAMES = (
    "US United States of America; US USA; GB Great Britain; GB Britain; GB England; GB Scotland; GB Wales; "
    "GB Northern Ireland; CZ Czechia; NL The Netherlands; NL Holland; TR Türkiye; IE Republic of Ireland; "
    "RU Russian Federation; CI Ivory Coast; VN Viet Nam; MO Macao; KR Republic of Korea; DE Deutschland; "
    "AT Österreich; CH Schweiz; CH Suisse; CH Svizzera; IT Italia; ES España; NL Nederland; BE België; BE Belgique; "
    "PL Polska; CZ Česko; DK Danmark; SE Sverige; NO Norge; FI Suomi; LT Lietuva; LV Latvija; EE Eesti; "
    "HU Magyarország; RO România; SK Slovensko; SI Slovenija; HR Hrvatska; BR Brasil; MX México "
)
"""Other names in English, and names in the languages of the countries, as segments often have them."""


@functools.cache
def _codes_by_name() -> Mapping[str, str]:
    entries = (entry.strip().partition(" ") for entry in (NAMES + ";" + OTHER_NAMES).split(";"))
    return {name.casefold(): code for code, _, name in entries}


def country_code(text: str) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of a country's code or name in any case; None if it is neither."""
    word = trimmed(text)
    upper = word.upper()
    if len(upper) == CODE_CHARS and word.isascii():  # the capital of `ß` is `SS`, the code of South Sudan
        upper = ALIASES.get(upper, upper)
        return upper if upper in CODES.split() else None
    return _codes_by_name().get(word.casefold().replace(" and ", " & "))
