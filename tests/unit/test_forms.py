"""The sandbox parses every valid form, reads reports, and knows versions."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.sandbox import forms, reports, versions
from gate.sandbox.forms import HEAD, KEPT, MalformedError, ReceivedFile
from gate.sandbox.model import ZAP, Report, Vulnerability

BOUNDARY = b"-Aa0'()+_,-./:=?"


def part(headers: str, content: bytes = b"x") -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def read(body: bytes) -> forms.Form:
    return forms.multipart(body, BOUNDARY)


def whole(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def named(text: str, *more: str) -> str:
    """Return the headers of a part."""
    return "\r\n".join([f"Content-Disposition: form-data; {text}", *more])


FILE = named('name="file"; filename="a"')
HEADERS = {
    named('name="file"; filename="a.fpr"'): "a.fpr",
    named('filename="a.fpr"; name="file"'): "a.fpr",
    named("name=file; filename=a.fpr"): "a.fpr",
    named('NAME="file" ; FileName = "a.fpr"'): "a.fpr",
    named(r'name="file"; filename="a\"b\\c.fpr"'): 'a"b\\c.fpr',
    named('name="file"; filename="a%22b.fpr"'): "a%22b.fpr",
    named(r'name="file"; filename="C:\scans\a.fpr"'): r"C:\scans\a.fpr",
    named('name="file"; filename="a;b=\'c\' d.fpr"'): "a;b='c' d.fpr",
    named('name="file"; filename="größe.fpr"'): "größe.fpr",
    named('name="file"; filename=""'): "",
    FILE + "\r\nContent-Type: text/xml": "a",
    "Content-Type: text/xml\r\n" + FILE: "a",
    'content-disposition:form-data;\r\n\tname="file";\r\n filename="a"': "a",
}


@pytest.mark.parametrize(("headers", "name"), HEADERS.items())
def test_the_file_name_is_parsed_from_any_valid_header(headers: str, name: str) -> None:
    """Headers may have any order and continuation lines."""
    (file,) = read(whole(part(headers))).files
    assert (file.field, file.name, file.size) == ("file", name, 1)


def test_fields_may_come_before_and_after_files() -> None:
    """The first of two fields with one name counts, also if it is empty."""
    assert forms.urlencoded("name=a+b&name=c&type=&x=%C3%B6") == {"name": "a b", "type": "", "x": "ö"}
    files = [part(named(f'name="file"; filename="{name}"'), name.encode()) for name in ("a", "b")]
    fields = [part(named('name="apiKey"'), value) for value in (b"first", b"second")]
    form = read(b"preamble\r\n" + whole(fields[0], *files, fields[1]) + b"epilogue")
    assert form.fields == {"apiKey": "first"}
    assert [file.name for file in form.files] == ["a", "b"]


# Parts of boundaries are a trap for a parser.
PIECES = [b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY[:5], b"\r\n--" + BOUNDARY[:-1], b"x"]
CONTENTS = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@given(contents=st.lists(CONTENTS, max_size=3), preamble=CONTENTS)
def test_a_content_may_have_parts_of_a_boundary(contents: list[bytes], preamble: bytes) -> None:
    form = read(preamble + b"\r\n" + whole(*(part(FILE, content) for content in contents)))
    assert [file.head for file in form.files] == contents
    assert [file.sha256 for file in form.files] == [hashlib.sha256(content).hexdigest() for content in contents]


def test_only_the_beginning_of_a_large_file_is_kept() -> None:
    """Size and hash are of the whole file."""
    content = bytes(range(256)) * 8192
    (file,) = read(whole(part(FILE, content))).files
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (file.head, file.whole) == (content[:KEPT], False)


MALFORMED = {
    "nothing": b"",
    "no-boundary": b"x" * 1000,
    "no-end": part(FILE),
    "cut-within-a-boundary": part(FILE) + b"--" + BOUNDARY + b"-",
    "no-headers": whole(b"--" + BOUNDARY + b"\r\n\r\nx\r\n"),
    "no-name": whole(part(named('filename="a"'))),
    "no-form-data": whole(part('Content-Disposition: attachment; name="file"; filename="a"')),
    "text-after-a-boundary": whole(part(named('name="a"'))).replace(BOUNDARY + b"\r\n", BOUNDARY + b"x\r\n"),
    "endless-header": whole(part(named('name="file"; filename="' + "a" * HEAD * 2 + '"'))),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_an_error(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


def test_only_the_content_type_of_a_multipart_form_has_a_boundary() -> None:
    assert forms.boundary('Multipart/Form-Data; charset=utf-8; Boundary="a b"') == b"a b"
    for content_type in ("multipart/form-data", "application/x-www-form-urlencoded; boundary=abc", ""):
        assert forms.boundary(content_type) is None


def file_of(name: str, content: bytes) -> ReceivedFile:
    return ReceivedFile("file", name, len(content), "", content[:KEPT])


DYNAMIC = {"surfaceLocation": {"url": "https://x/a?b", "parameter": "q"}}
CWE = {"mappingType": "CWE", "value": "79"}
FINDINGS = [
    {"severity": "High", "summary": "XSS", "mappings": [CWE], "dynamicDetails": DYNAMIC},
    {"severity": "odd", "summary": "Key", "staticDetails": {"file": "/a.py", "parameter": None}},
    {"severity": "low", "summary": "Old", "dependencyDetails": {"library": "lib"}, "mappings": [{}]},
]  # fmt: skip
DOCUMENT = {"source": "Contrast", "exported": "2026-11-02T10:00:00Z", "findings": FINDINGS}


def test_a_report_in_threadfix_s_format_has_a_date_and_findings() -> None:
    report = reports.read(file_of("a.threadfix", json.dumps(DOCUMENT).encode()), (2, 8, 8))
    found = (
        Vulnerability(0, 79, "XSS", 4, "/a", "q"),
        Vulnerability(0, 0, "Key", 1, "/a.py"),
        Vulnerability(0, 0, "Old", 2, "lib"),
    )
    assert report == Report("Contrast", found, 1793613600000)


@pytest.mark.parametrize(
    ("name", "content", "response"),
    [
        ("a.threadfix", b"{", reports.NO_TYPE),
        ("a.threadfix", b"[" * 60_000, reports.NO_TYPE),
        ("a.threadfix", b'{"source": "Manual", "findings": []}', reports.NO_SCANNER),
        ("a.threadfix", b'{"source": "Contrast"}', reports.NO_SCANNER),
        ("a.threadfix", b'{"source": "Contrast", "findings": ["no finding"]}', reports.NO_TYPE),
        ("a.THREADFIX", b"{}", reports.NO_TYPE),
        ("a.xml", b"", reports.NO_TYPE),
        ("a.xml", b"<a>", reports.NO_TYPE),
        ("a.xml", b" " * KEPT + b"<a/>", reports.NO_TYPE),
        ("a.xml", b"<OWASPZAPReport><alertitem><alert>x</alert></alertitem></OWASPZAPReport>", Report(ZAP, ())),
        ("a.xml", b"<OWASPZAPReport>" + b" " * KEPT + b"<", Report(ZAP, ())),
    ],
)  # fmt: skip
def test_the_format_of_a_report_is_recognized(name: str, content: bytes, response: object) -> None:
    """A broken report has no type; a finding without a CWE does not count; only the first MiB is read."""
    assert reports.read(file_of(name, content), (2, 8, 8)) == response


def test_threadfix_2_3_does_not_know_its_later_format() -> None:
    assert reports.read(file_of("a.threadfix", json.dumps(DOCUMENT).encode()), versions.LEGACY) == reports.NO_TYPE


@pytest.mark.parametrize(
    ("segment", "server", "version"),
    [
        ("latest", (2, 8, 5), (2, 8, 5)), ("v3.0", (2, 8, 5), (2, 8, 5)), ("v2.7.1", (2, 8, 5), (2, 7, 1)),
        ("Legacy", (2, 8, 5), (2, 6)), ("", (2, 8, 5), (2, 6)), ("v2.5", (2, 8, 5), None), ("latest", (2, 5), None),
    ],
)  # fmt: skip
def test_the_path_selects_the_version(segment: str, server: versions.Version, version: versions.Version | None) -> None:
    """A version is at most the server's. For `legacy` or no version, it is the version that introduced the endpoint."""
    assert versions.requested(segment, server, (2, 6)) == version
    assert [versions.parse(text) for text in ("v2.5.1.12", "3", "2.", "2.8-rc")] == [(2, 5, 1, 12), (3,), None, None]
