"""Checks a service: exits with 0 if a URL responds with a status below 400.

Usage: python health.py URL. The images have no curl.
"""

from __future__ import annotations

import sys
import urllib.request

urllib.request.urlopen(sys.argv[1], timeout=10).close()  # noqa: S310 - the URL is one of the compose file
