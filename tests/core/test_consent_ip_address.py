"""The pattern of a proof's IP address takes what Python takes."""

from __future__ import annotations

import ipaddress
import re

from airflow_provider_segexport.stages import proof

ADDRESSES = [
    "203.0.113.7",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2b01:1234:136:0:116f:3244:a476:d6b7",
    "::",
    "::1",
    "1::",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1::8",
    "1:2::7:8",
    "1:2:3:4:5:6::8",
    "::ffff:192.0.2.1",
    "64:ff9b:0:0:0:0:192.0.2.1",
    "2001:DB8::A",
]
OTHERS = [
    "",
    "256.1.1.1",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.4/32",
    "fe80::1%eth0",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    ":::",
    "12345::",
    "g::",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "localhost",
    "203.0.113.7, 10.0.0.1",
    " 203.0.113.7",
]


def test_addresses_of_the_internet():
    """The pattern takes what Python takes, and nothing else."""
    assert [text for text in ADDRESSES if not re.fullmatch(proof.IP_ADDRESS, text)] == []
    assert [text for text in OTHERS if re.fullmatch(proof.IP_ADDRESS, text)] == []
    assert [ipaddress.ip_address(text).version for text in ADDRESSES[:4]] == [4, 4, 4, 6]
