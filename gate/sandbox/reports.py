"""Reads uploaded reports, as far as the sandbox understands them: ZAP's XML and ThreadFix's own format.

ThreadFix chooses a format by the end of the file's name, then by the content [RUN].
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from gate.sandbox.model import SEVERITIES, ZAP, Report, Vulnerability
from gate.sandbox.responses import SYSTEM_ERROR, Raw, refusal
from gate.sandbox.versions import LEGACY

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.versions import Version

NO_TYPE: Final = refusal("Unable to determine scan type.", 500)
"""The response to text, broken XML, SARIF and an empty file [RUN]."""
NO_SCANNER: Final = refusal("Failed to determine the scan type.")
"""The response to well-formed XML or JSON of no known scanner, and to an archive [RUN]."""
NO_INPUT: Final = refusal("The scan could not be completed because there was null input")
"""The response to each `.html` file [RUN]."""
_BY_NAME: Final = {".html": NO_INPUT, ".htm": NO_INPUT, ".json": NO_SCANNER, ".zip": NO_SCANNER}
_NUMBERS: Final = {name.lower(): number for number, name in SEVERITIES.items()}


def read(file: ReceivedFile, generation: Version) -> Report | Raw:
    """Return the content of a file, or ThreadFix's response to a file that it cannot read."""
    suffix = PurePath(file.name.replace("\\", "/")).suffix
    if suffix.lower() == ".fpr":
        # Fortify's format is opaque here: a report of one scanner, without a date, that is never broken [INFER].
        return Report()
    if suffix.lower() == ".json" and not file.size:
        return SYSTEM_ERROR  # [RUN]
    if suffix.lower() in _BY_NAME:
        return _BY_NAME[suffix.lower()]
    # ThreadFix 2.3 does not know its later format [RUN]. The suffix must be in lower case [DOC].
    if suffix == ".threadfix" and generation > LEGACY:
        return _threadfix(file.head)
    return _xml(file)


def _xml(file: ReceivedFile) -> Report | Raw:
    """Read XML. Only the beginning of a large file is read [INFER]."""
    # Expat limits the expansion of entities, and external ones are not loaded.
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    elements: list[Any] = []
    try:
        parser.feed(file.head)
        if file.whole:
            parser.close()
        elements.extend(parser.read_events())
    except ParseError:
        return NO_TYPE
    if not elements:
        return NO_TYPE
    _, root = elements[0]
    alerts = [element for event, element in elements if event == "end" and element.tag == "alertitem"]
    findings = [finding for alert in alerts for finding in _alert(alert)]
    if root.tag != "OWASPZAPReport":
        return NO_SCANNER
    return Report(ZAP, tuple(findings), _date(root.get("generated", ""), "%a, %d %b %Y %H:%M:%S"))


def _alert(item: Element) -> list[Vulnerability]:
    """Return the findings of an alert: an alert for each page (until ZAP 2.3), or instances in an alert (since 2.4)."""
    cwe, risk = _number(item.findtext("cweid")), _number(item.findtext("riskcode"))
    if not cwe:
        # Findings of an unknown kind without a CWE are silently not counted [RUN].
        return []
    name = item.findtext("alert") or item.findtext("name") or f"CWE-{cwe}"
    return [
        Vulnerability(0, cwe, name, min(risk, 3) + 1, urlsplit(place.findtext("uri") or "").path or "/", parameter)
        for place in item.findall("instances/instance") or [item]
        for parameter in [place.findtext("param") or ""]
    ]


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,6}", text.strip()) else 0


def _threadfix(content: bytes) -> Report | Raw:
    """Read ThreadFix's format: a source, the date of the export and findings with mappings [DOC, CLIENT]."""
    try:
        match json.loads(content):
            # The source `Manual` is refused since 2.7.8 [DOC].
            case {"source": str(source), "findings": [*findings], **more} if source not in ("", "Manual"):
                date = _date(str(more.get("exported", more.get("created"))), "%Y-%m-%dT%H:%M:%SZ")
                return Report(source, tuple(_finding(entry) for entry in findings), date)
    except (AttributeError, RecursionError, TypeError, ValueError):
        return NO_TYPE  # [INFER]
    return NO_SCANNER


def _finding(entry: dict[str, Any]) -> Vulnerability:
    mappings = entry.get("mappings") or []
    cwes = [_number(str(mapping.get("value"))) for mapping in mappings if mapping.get("mappingType") == "CWE"]
    surface = (entry.get("dynamicDetails") or {}).get("surfaceLocation") or {}
    static = entry.get("staticDetails") or {}
    dependency = entry.get("dependencyDetails") or {}
    path = urlsplit(str(surface.get("url") or "")).path or static.get("file") or dependency.get("library") or "/"
    severity = _NUMBERS.get(str(entry.get("severity")).lower(), 1)
    parameter = str(surface.get("parameter") or static.get("parameter") or "")
    return Vulnerability(0, cwes[0] if cwes else 0, str(entry.get("summary")), severity, str(path), parameter)


def _date(text: str, form: str) -> int | None:
    """Return a date in milliseconds since the epoch; None if it cannot be read, which counts as none [RUN].

    Dates without a zone are in the server's zone [RUN]; that of the sandbox is UTC.
    """
    try:
        return int(datetime.strptime(text.strip(), form).replace(tzinfo=timezone.utc).timestamp() * 1000)
    except ValueError:
        return None
