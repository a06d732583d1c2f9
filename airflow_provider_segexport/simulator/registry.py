"""Registry of the simulated vendors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .campaign_monitor import CampaignMonitor
from .constant_contact import ConstantContact
from .dotdigital import Dotdigital
from .omnisend import Omnisend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .vendor import Context, Vendor

VENDORS: dict[str, Callable[[Context, Mapping[str, object]], Vendor]] = {
    CampaignMonitor.name: CampaignMonitor,
    Dotdigital.name: Dotdigital,
    ConstantContact.name: ConstantContact,
    Omnisend.name: Omnisend,
}
