"""The sandbox reads every legal form, however it arrives, and recognizes a report without results."""

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
    """A part of a form."""
    return b"--" + BOUNDARY + b"\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def read(body: bytes, size: int = forms.CHUNK) -> forms.Form:
    """The form in a body that arrives in pieces of so many bytes."""
    source = io.BytesIO(body)
    return forms.multipart(lambda most: source.read(min(most, size)), BOUNDARY)


def whole(*parts: bytes) -> bytes:
    """A form of these parts."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def named(text: str, *more: str) -> str:
    """The headers of a part."""
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
def test_a_file_has_the_name_that_it_was_sent_with(disposition: str, name: str) -> None:
    """Parameters come in any order, quoted or not."""
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
def test_headers_come_in_any_order_and_on_several_lines(headers: str) -> None:
    """A part's headers have no order, and a line that begins with a blank continues the one before."""
    (file,) = read(whole(part(headers))).files
    assert (file.field, file.name, file.size) == ("file", "a", 1)


def test_parts_come_in_any_order() -> None:
    """Fields may stand before and behind the files; of two fields of one name the first counts."""
    files = [part(named(f'name="file"; filename="{name}"'), name.encode()) for name in ("a", "b")]
    fields = [part(named('name="apiKey"'), value) for value in (b"first", b"second")]
    form = read(b"preamble\r\n" + whole(fields[0], *files, fields[1]) + b"epilogue")
    assert form.fields == {"apiKey": "first"}
    assert [file.name for file in form.files] == ["a", "b"]


# Pieces of boundaries are what a parser that looks at too little falls for.
CONTENTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY[:5], b"\r\n--" + BOUNDARY[:-1], b"x"]), max_size=12
).map(b"".join)


@given(contents=st.lists(CONTENTS, max_size=3), size=st.integers(1, 40), preamble=CONTENTS)
def test_a_form_is_the_same_in_whatever_pieces_it_arrives(contents: list[bytes], size: int, preamble: bytes) -> None:
    """What is in a file is what was sent, wherever the network cuts it."""
    parts = [part(named('name="file"; filename="a"'), content) for content in contents]
    form = read(preamble + b"\r\n" + whole(*parts), size=size)
    assert [file.head for file in form.files] == contents
    assert [file.sha256 for file in form.files] == [hashlib.sha256(content).hexdigest() for content in contents]


def test_of_a_large_file_only_the_beginning_is_kept() -> None:
    """Size and hash are those of all of it."""
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
    "text-behind-a-boundary": whole(part(named('name="a"'))).replace(BOUNDARY + b"\r\n", BOUNDARY + b"x\r\n"),
    "endless-header": whole(part(named('name="file"; filename="' + "a" * HEAD * 2 + '"'))),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_form_is_an_error(body: bytes) -> None:
    """Nothing is guessed about a form that is broken."""
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
def test_the_boundary_is_in_the_content_type(content_type: str, boundary: bytes | None) -> None:
    """Quoted or not; only a multipart form has one."""
    assert forms.boundary(content_type) == boundary


def test_of_two_fields_of_one_name_the_first_counts() -> None:
    """In a query, too, and an empty one counts."""
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
    """By rules that are simple on purpose; what they do not know has results."""
    content, empty = REPORTS[name]
    assert is_empty(ReceivedFile("file", name, len(content), "", content[:HEAD])) is empty


def test_every_feature_came_with_a_version() -> None:
    """The table knows every feature, oldest first."""
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
def test_a_version_is_numbers(text: str, version: versions.Version | None) -> None:
    """With or without the letter that paths have in front."""
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
def test_a_request_gets_the_version_in_its_path(segment: str, version: versions.Version | None) -> None:
    """None is newer than the server; `legacy` and no version are the one that introduced the endpoint."""
    assert versions.asked_for(segment, (2, 8, 5), (2, 6)) == version


def test_an_endpoint_that_came_later_is_not_there() -> None:
    """Whatever version is asked for."""
    assert versions.asked_for("latest", (2, 5), (2, 6)) is None
    assert versions.asked_for("legacy", (2, 5), (2, 6)) is None
    assert versions.asked_for("legacy", (2, 8), versions.LEGACY) == versions.LEGACY
