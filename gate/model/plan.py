"""How long and how often the gate asks ThreadFix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits and poll intervals in seconds, each the value of the option of the same name."""

    timeout: float = 1800.0  # 0 polls once
    interval: float = 2.0
    max_interval: float = 15.0
    request_timeout: float = 30.0
    first_contact_limit: float = 60.0
    outage_limit: float = 300.0
    upload_timeout: float = 600.0  # for each file
    settle_timeout: float = 120.0  # 0 accepts the first response
