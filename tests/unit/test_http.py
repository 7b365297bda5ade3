"""The headers of a response, and the failures, the threads and the certificates of requests."""

from __future__ import annotations

import http.client
import queue
import ssl
import threading
import time

import pytest

from gate.model.advice import FailureKind
from gate.net import start_thread
from gate.net.connections import ConnectionFacts
from gate.net.failures import failure_of
from gate.net.framing import MalformedError, date, is_chunked, retry_after
from gate.net.http import Response
from gate.text.sanitizer import Sanitizer

SENT = 784111777.0
"""The example of RFC 9110, in seconds since the epoch."""


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        " Sun, 06 Nov 1994 08:49:37 GMT\t", "6 Nov 1994 08:49:37 UTC", "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 09:49:37 +0100", "Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)  # fmt: skip
def test_a_date_is_read_in_each_form(value: str) -> None:
    assert date(value) == SENT


@pytest.mark.parametrize(
    "value",
    [
        None, "", "soon", "Sun, 06 Nov 1994 08:49:37 EST", "Sun, 06 Nov 1994 08:49:37 CEST",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 99 Foo 9999 99:99:99 +9999",
        "Sun, 31 Dec 9999 23:59:61 GMT", "Sun, 06 Nov 1994 ::::::::", "Sun, 06 Nov 1994 08:49:37 +2500",
        "Sun, 06 Nov 1994 08:49:37 GMT\n", "٠٦ Nov 1994 08:49:37 GMT",
    ],
)  # fmt: skip
def test_a_malformed_or_repeated_date_is_unknown(value: str | None) -> None:
    assert date(value) is None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows cannot change the zone of a process")
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "XYZ-13"])
def test_a_date_without_a_zone_is_gmt_in_any_zone(zone: str) -> None:
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            assert date("Sun, 06 Nov 1994 08:49:37") == SENT
            headers = {"Date": "Sun, 06 Nov 1994 08:49:37", "Retry-After": "Sun Nov  6 08:50:37 1994"}
            assert Response(503, headers, b"").retry_after == 60
    finally:
        time.tzset()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("30", 30), (" 30 ", 30), ("0", 0), ("-1", None), ("1.5", None), ("soon", None), ("", None),
        ("30\n", None), ("٣", None), ("30, 30", None), ("9" * 30, None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:02:00", 20), ("Thu, 99 Jan 1970 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 253402387039.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, 100.0) == seconds


@pytest.mark.parametrize("sent", [{}, {"Date": "soon"}])
def test_without_a_usable_date_it_is_measured_against_this_machine_s_clock(sent: dict[str, str]) -> None:
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1000))
    delay = Response(503, {"Retry-After": later} | sent, b"").retry_after
    assert delay is not None
    assert 900 < delay <= 1000


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        ({}, 0), ({"Age": "0"}, 0), ({"Age": " 00 "}, 0), ({"Age": "17"}, 17), ({"Age": ""}, 1), ({"Age": "-0"}, 1),
        ({"Age": "0.0"}, 1), ({"Age": "0, 0"}, 1), ({"Age": "٠"}, 1), ({"Age": "0\n"}, 1), ({"Age": "9" * 10}, 1),
    ],
)  # fmt: skip
def test_a_malformed_age_counts_as_an_age(headers: dict[str, str], age: int) -> None:
    assert Response(200, headers, b"").age == age


def test_an_error_of_no_known_kind_has_the_name_of_its_type() -> None:
    failure = failure_of(EOFError("hunter2"), "tf.example.com", Sanitizer())
    assert failure.what == "the connection to tf.example.com broke (EOFError)."


def test_only_blanks_and_tabs_surround_a_header() -> None:
    headers = http.client.HTTPMessage()
    headers["Transfer-Encoding"] = "\x0cchunked"
    with pytest.raises(MalformedError):
        is_chunked(headers)


def test_a_thread_does_not_keep_the_process_alive() -> None:
    seen: queue.SimpleQueue[bool] = queue.SimpleQueue()
    start_thread(lambda: seen.put(threading.current_thread().daemon))
    assert seen.get(timeout=5)


def test_a_certificate_error_without_details_is_final() -> None:
    """Some builds of Python leave out the code and the message of OpenSSL."""
    failure = failure_of(ssl.SSLCertVerificationError("x"), "tf.example.com", Sanitizer())
    assert (failure.kind, failure.final) == (FailureKind.CERTIFICATE, True)
    assert failure.what == "the certificate of tf.example.com does not verify: unknown reason."
    assert ConnectionFacts(certificate={}).issuer == ""
