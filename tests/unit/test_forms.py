"""The sandbox parses every valid form, recognizes reports without results, and knows versions."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.sandbox import forms, versions
from gate.sandbox.forms import HEAD, MalformedError, ReceivedFile
from gate.sandbox.scans import is_empty
from gate.sandbox.versions import Feature

BOUNDARY = b"-Aa0'()+_,-./:=?"


def part(headers: str, content: bytes = b"x") -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def read(body: bytes, size: int = forms.CHUNK) -> forms.Form:
    """Parse the form in a body that arrives in pieces of `size` bytes."""
    source = io.BytesIO(body)
    return forms.multipart(lambda most: source.read(min(most, size)), BOUNDARY)


def whole(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def named(text: str, *more: str) -> str:
    """Return the headers of a part."""
    return "\r\n".join([f"Content-Disposition: form-data; {text}", *more])


NAMES = {
    'name="file"; filename="a.fpr"': "a.fpr",
    'filename="a.fpr"; name="file"': "a.fpr",
    "name=file; filename=a.fpr": "a.fpr",
    'NAME="file" ; FileName = "a.fpr"': "a.fpr",
    r'name="file"; filename="a\"b\\c.fpr"': 'a"b\\c.fpr',
    'name="file"; filename="a%22b.fpr"': "a%22b.fpr",
    r'name="file"; filename="C:\scans\a.fpr"': r"C:\scans\a.fpr",
    'name="file"; filename="a;b=\'c\' d.fpr"': "a;b='c' d.fpr",
    'name="file"; filename="größe.fpr"': "größe.fpr",
    'name="file"; filename=""': "",
}


@pytest.mark.parametrize(("disposition", "name"), NAMES.items(), ids=NAMES)
def test_the_file_name_is_parsed_from_any_valid_header(disposition: str, name: str) -> None:
    (file,) = read(whole(part(named(disposition)))).files
    assert (file.field, file.name) == ("file", name)


@pytest.mark.parametrize(
    "headers",
    [
        named('name="file"; filename="a"', "Content-Type: text/xml"),
        "Content-Type: text/xml\r\n" + named('name="file"; filename="a"'),
        'content-disposition:form-data;\r\n\tname="file";\r\n filename="a"',
    ],
)
def test_headers_may_have_any_order_and_continuation_lines(headers: str) -> None:
    (file,) = read(whole(part(headers))).files
    assert (file.field, file.name, file.size) == ("file", "a", 1)


def test_fields_may_come_before_and_after_files() -> None:
    """The first of two fields with one name counts."""
    files = [part(named(f'name="file"; filename="{name}"'), name.encode()) for name in ("a", "b")]
    fields = [part(named('name="apiKey"'), value) for value in (b"first", b"second")]
    form = read(b"preamble\r\n" + whole(fields[0], *files, fields[1]) + b"epilogue")
    assert form.fields == {"apiKey": "first"}
    assert [file.name for file in form.files] == ["a", "b"]


# Parts of boundaries are a trap for a parser that looks at one piece at a time.
CONTENTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY[:5], b"\r\n--" + BOUNDARY[:-1], b"x"]), max_size=12
).map(b"".join)


@given(contents=st.lists(CONTENTS, max_size=3), size=st.integers(1, 40), preamble=CONTENTS)
def test_the_result_does_not_depend_on_the_size_of_the_pieces(
    contents: list[bytes], size: int, preamble: bytes
) -> None:
    parts = [part(named('name="file"; filename="a"'), content) for content in contents]
    form = read(preamble + b"\r\n" + whole(*parts), size=size)
    assert [file.head for file in form.files] == contents
    assert [file.sha256 for file in form.files] == [hashlib.sha256(content).hexdigest() for content in contents]


def test_only_the_beginning_of_a_large_file_is_kept() -> None:
    """Size and hash are of the whole file."""
    content = bytes(range(256)) * 4096
    (file,) = read(whole(part(named('name="file"; filename="a"'), content))).files
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (file.head, file.whole) == (content[:HEAD], False)


MALFORMED = {
    "nothing": b"",
    "no-boundary": b"x" * 1000,
    "no-end": part(named('name="file"; filename="a"')),
    "cut-within-a-boundary": part(named('name="file"; filename="a"')) + b"--" + BOUNDARY + b"-",
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


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; Boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("application/x-www-form-urlencoded; boundary=abc", None),
        ("", None),
    ],
)
def test_only_the_content_type_of_a_multipart_form_has_a_boundary(content_type: str, boundary: bytes | None) -> None:
    assert forms.boundary(content_type) == boundary


def test_the_first_of_two_fields_with_one_name_counts() -> None:
    """This also holds if the first is empty."""
    assert forms.urlencoded("name=a+b&name=c&type=&x=%C3%B6") == {"name": "a b", "type": "", "x": "ö"}


REPORTS = {
    "results.json": (b'{"results": []}', True),
    "issues.json": (b' {"version": 1, "Issues": [], "site": []}\n', True),
    "runs.sarif": (b'{"version": "2.1.0", "runs": [{"tool": {}, "results": []}]}', True),
    "array.json": (b"[]", True),
    "zap.xml": (b'<?xml version="1.0"?><OWASPZAPReport v="1"><site name="x"></site></OWASPZAPReport>', True),
    "results.xml": (b"<Results/>", True),
    "comment.xml": (b"<!-- <issue> --><scan><Issues/></scan>", True),
    "header.csv": (b"rule,path,severity\n", True),
    "blank.txt": (b" \r\n\t", True),
    "one.json": (b'{"results": [{"id": 1}], "issues": []}', False),
    "one.sarif": (b'{"runs": [{"results": [{"ruleId": "a"}]}]}', False),
    "words.json": (b'{"results": ["a"]}', False),
    "no-list.json": (b'{"version": 1, "results": 3}', False),
    "nested.json": (b'{"report": {"results": []}}', False),
    "broken.json": (b'{"results": [', False),
    "deep.json": (b"[" * 60_000, False),
    "numbers.json": (b"[1]", False),
    "one.xml": (b"<issues><issue/></issues>", False),
    "one.csv": (b"rule,path\na,b\n", False),
    "line.txt": (b"one line", False),
    "large.csv": (b"rule" * 20_000, False),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_without_results_is_recognized(name: str) -> None:
    """The rules are simple on purpose. A report that they cannot parse has results."""
    content, empty = REPORTS[name]
    assert is_empty(ReceivedFile("file", name, len(content), "", content[:HEAD])) is empty


def test_the_table_has_every_feature_oldest_first() -> None:
    assert set(versions.SINCE) == set(Feature)
    assert list(versions.SINCE.values()) == sorted(versions.SINCE.values())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("legacy", (2, 3)),
        ("Legacy", (2, 3)),
        ("2.8.8", (2, 8, 8)),
        ("v2.5.1.12", (2, 5, 1, 12)),
        ("3", (3,)),
        ("latest", None),
        ("2.", None),
        ("", None),
        ("2.8-rc", None),
    ],
)
def test_a_version_is_parsed(text: str, version: versions.Version | None) -> None:
    assert versions.parse(text) == version


@pytest.mark.parametrize(
    ("segment", "version"),
    [
        ("latest", (2, 8, 5)),
        ("Latest", (2, 8, 5)),
        ("v3.0", (2, 8, 5)),
        ("v2.7.1", (2, 7, 1)),
        ("legacy", (2, 6)),
        ("", (2, 6)),
        ("v2.5", None),
    ],
)
def test_the_path_selects_the_version(segment: str, version: versions.Version | None) -> None:
    """A version is at most the server's. For `legacy` or no version, it is the version that introduced the endpoint."""
    assert versions.requested(segment, (2, 8, 5), (2, 6)) == version


def test_a_newer_endpoint_does_not_exist_in_any_version_of_the_path() -> None:
    assert versions.requested("latest", (2, 5), (2, 6)) is None
    assert versions.requested("legacy", (2, 5), (2, 6)) is None
    assert versions.requested("legacy", (2, 8), versions.LEGACY) == versions.LEGACY
