"""Polls a pending scan as most scripts do: requests, a fixed interval, no limit."""

import os
import time

import requests

while True:
    scan = requests.get(os.environ["SCAN_URL"], headers={"Authorization": f"APIKEY {os.environ['KEY']}"}).json()  # noqa: S113 - as scripts do
    if scan["object"]["status"] in {"DONE", "FINISHED_FINDING_PULLING"}:
        break
    if scan["object"]["status"] in {"SCAN_INTERRUPTED", "SCAN_DELETED"}:
        raise SystemExit(1)
    time.sleep(1)
