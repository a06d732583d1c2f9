"""Assets below `segexport://`: an audience is `segexport://<vendor>/<account>/<audience>`, such as `segexport://omnisend/shop/vip`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote

from airflow_provider_segexport.vendors.registry import VENDORS

if TYPE_CHECKING:
    from airflow.sdk import Asset

SCHEME = "segexport"
FORM = f"{SCHEME}://<vendor>/<account>/<audience>"
PATH_PARTS = 2
"""Account and audience."""


def create_asset(*, vendor: str, account: str | int, audience: str | int, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an audience, for `outlets` and schedules.

    Args:
        vendor: connection type of the vendor, such as `omnisend`.
        account: the account's id or name, as you choose; the same in each DAG.
        audience: the vendor's id or name of the audience.
        extra: further entries of the asset.
    """
    from airflow.sdk import Asset  # noqa: PLC0415 - Airflow reads this module's other functions on its own

    return Asset(
        uri=f"{SCHEME}://{vendor}/{quote(str(account), safe='')}/{quote(str(audience), safe='')}", extra=extra or {}
    )


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the canonical form of a URI: vendor in lower case, parts percent-encoded, no slash at the end.

    A URI whose first part is no vendor, such as `segexport://segments/vip`, is a name of the user's own.

    Raises:
        ValueError: the first part is missing, or is a vendor that no account and audience follow.
    """
    vendor = uri.netloc.lower()
    if not vendor:
        raise ValueError(f"{uri.geturl()!r} names nothing. To fix: write {FORM}, or a name of your own.")
    if vendor not in VENDORS:
        return uri._replace(path=uri.path.rstrip("/"))
    parts = [unquote(part) for part in uri.path.removeprefix("/").removesuffix("/").split("/")]
    if len(parts) != PATH_PARTS or not all(part.strip() for part in parts) or uri.query or uri.fragment:
        raise ValueError(f"{uri.geturl()!r} does not name an audience. To fix: write {FORM}; quote a slash as %2F.")
    return SplitResult(SCHEME, vendor, "/" + "/".join(quote(part, safe="") for part in parts), "", "")


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:  # noqa: ARG001 - as OpenLineage calls it
    """Return the audience as a dataset, named as the exports name it.

    Args:
        asset: of an audience.
        lineage_context: not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415

    vendor, _, path = asset.uri.removeprefix(f"{SCHEME}://").partition("/")
    account, _, audience = path.partition("/")
    if vendor not in VENDORS:
        return Dataset(namespace=f"{SCHEME}://{vendor}", name=path or "/")
    return Dataset(namespace=f"{vendor}://{unquote(account)}", name=unquote(audience))
