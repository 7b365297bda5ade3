"""Tests that flags and environment become settings, or every invalid option."""

from __future__ import annotations

import codecs
import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from gate.model.history import Accept
from gate.model.reasons import InvalidOption, Reason
from gate.model.subjects import ApplicationId, Plan, Policy, Target
from gate.net.files import find
from gate.options import parsing, table, values
from gate.options.parsing import Parsed, parse
from gate.options.reader import distance, unknown_variables
from gate.options.settings import Reports, Settings
from gate.options.table import OPTIONS, Option
from gate.options.values import EMPTY
from gate.reporters.outputs import OUTPUTS
from gate.reporters.reports import REPORTS, Destination, Report
from gate.threadfix import links
from gate.threadfix.links import Server
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "r31OPbW9LEAYnnAskBjYRACYmF2mGOmWgQAKmtPYE5YY"
GOOD = {
    "THREADFIX_URL": "https://tf.example.com/threadfix",
    "THREADFIX_API_KEY": KEY,
    "THREADFIX_APPLICATION_ID": "6",
    "THREADFIX_PENDING_SCAN_ID": "41",
}


def no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def parsed(*args: str, files: Mapping[str, bytes] | None = None, **env: str) -> Parsed:
    """Parse flags such as `--timeout`, `5m` and a valid environment with the changes in `env`."""
    held = dict(files or {})

    def read(name: str) -> bytes:
        return held[name] if name in held else no_file(name)

    flags: dict[str, list[str]] = {}
    for flag, value in zip(args[::2], args[1::2], strict=True):
        flags.setdefault(flag.removeprefix("--"), []).append(value)
    return parse(flags, GOOD | env, read, find)


def errors(*args: str, files: Mapping[str, bytes] | None = None, **env: str) -> tuple[str, ...]:
    """Return the text of each invalid option."""
    return tuple(str(invalid) for invalid in parsed(*args, files=files, **env).invalid)


def ok(*args: str, files: Mapping[str, bytes] | None = None, **env: str) -> Settings:
    """Return the settings, which must be valid."""
    result = parsed(*args, files=files, **env)
    assert result.invalid == ()
    assert result.settings
    return result.settings


def test_the_defaults_are_those_of_the_settings() -> None:
    settings = ok()
    assert settings.server == Server("https://tf.example.com/threadfix", settings.server.api_key)
    assert settings.server.api_key.reveal() == KEY
    assert (settings.application, settings.pending_scan_ids) == (ApplicationId(6), (41,))
    assert settings.plan == Plan()
    assert settings.rules == Rules()
    assert settings.downgraded == frozenset()
    assert settings.arguments == ("--url", "https://tf.example.com/threadfix")
    assert parsed().reports == Reports({"summary": True})
    assert (parsed().origin, parsed(THREADFIX_URL="").origin) == ("https://tf.example.com", "")
    assert parsed("--result-file", "r").reports.result_file == "r"
    assert parsed().reports.result_file == parsed(THREADFIX_URL="x").reports.result_file == ""
    assert ok("--on-unknown-status", "FAIL").rules.unknown_fails


def test_every_option_has_one_name_everywhere() -> None:
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert option.variable == "THREADFIX_" + option.name.upper().replace("-", "_")
        assert option.help.endswith(".")
        if option.default is not None:
            option.parse(option.default)


def test_a_flag_overrides_the_environment() -> None:
    assert ok("--timeout", "5m", THREADFIX_TIMEOUT="7m").plan.timeout == 300


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_variable_counts_as_not_given(empty: str) -> None:
    assert ok(THREADFIX_TIMEOUT=empty, THREADFIX_JSON=empty).plan == Plan()


@pytest.mark.parametrize(
    ("value", "on"),
    [*((word, True) for word in ("true", "1", "yes", "on", "TRUE", "Yes", "oN")),
     *((word, False) for word in ("false", "0", "no", "off", "FALSE", "No", "oFF"))],
)  # fmt: skip
def test_a_switch_has_many_spellings(value: str, on: bool) -> None:  # noqa: FBT001
    reports = parsed(THREADFIX_VERBOSE=value, THREADFIX_SUMMARY=value).reports
    assert (reports.verbose, "summary" in reports.requested) == (on, on)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5s", 0.5), ("100ms", 0.1), ("15m", 900), ("1h30m", 5400), ("1.5h", 5400), ("1H1M1S1MS", 3661.001)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "abc", "-5", "5 m", "m", "1m1h", "1e3", "٣", "5d", "0", "0s", "9000h", "1..5"])
def test_an_invalid_duration_has_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="15m or 1h30m"):
        values.duration(text)


def test_only_the_timeout_may_be_zero_and_the_shortest_interval_is_10_ms() -> None:
    assert ok("--timeout", "0").plan.timeout == 0
    for name in ("interval", "max-interval", "request-timeout", "first-contact-limit", "outage-limit"):
        (error,) = errors(f"--{name}", "0")
        assert error.startswith(f"--{name}: '0' must be more than 0")
    assert errors("--interval", "9ms") == ("--interval: '9ms' is too short; write 10ms or more.",)
    assert parsed("--interval", "0.01").settings


@pytest.mark.parametrize("text", ["41,42", "41 42", "41\n42\r\n", " 41 ,, 42 ", "41,42,41", "41 --- 41,42"])
def test_commas_blanks_newlines_and_flags_separate_the_elements_of_a_list(text: str) -> None:
    args = [word for part in text.split(" --- ") for word in ("--pending-scan-id", part)]
    assert ok(*args).pending_scan_ids == (41, 42)


@pytest.mark.parametrize("text", ["0", "-1", "x", "4.1", "٤١", "9" * 20, "2147483648", "41;42"])
def test_an_id_is_a_positive_number_that_fits_a_database(text: str) -> None:
    (error,) = errors("--pending-scan-id", text)
    assert error.startswith(f"--pending-scan-id: '{text}' contains an element that is not a valid id")
    assert "from 1 to 2147483647, such as 41" in error
    assert ok("--pending-scan-id", "2147483647").pending_scan_ids == (2**31 - 1,)


LINK = "http://10.150.1.155:8080/threadfix/rest/latest/applications/6/pendingScan/716/status"
RESPONSE = b'{"success":true,"links":[{"href":"x/rest/applications/6/pendingScan/41/status"},{"href":"%s"}]}'


def linked(*args: str, link: str = LINK, **env: str) -> Parsed:
    """Parse an upload response with links to pending scan 41 and to `link`."""
    return parsed("--upload-response", "up.json", *args, files={"up.json": RESPONSE % link.encode()}, **env)


def test_only_the_two_ids_of_a_link_are_used() -> None:
    for given, scans in (("", (41, 716)), ("42,41", (42, 41, 716))):
        settings = linked(THREADFIX_APPLICATION_ID="", THREADFIX_PENDING_SCAN_ID=given).settings
        assert settings
        assert (settings.application, settings.pending_scan_ids) == (ApplicationId(6), scans)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>", "--upload-response: this is not ThreadFix's response to an upload: it is not JSON."),
        (b'{"success":true,"object":"Scan upload process started."}', "no link to a pending scan"),
        (b'{"success":true,"links":[{"href":"https://tf.example.com/elsewhere"}]}', "no link to a pending scan"),
        (
            b'{"success":true,"links":[{"href":"https://tf.example.com/pendingScan"}]}',
            (
                "--upload-response: a link in it is not a status link; such a link ends in "
                "/applications/6/pendingScan/41/status."
            ),
        ),
        (RESPONSE % b"http://[x/applications/6/pendingScan/41/status", "is not a status link"),
        (RESPONSE % LINK.replace("716", "0").encode(), "is not a status link"),
    ],
)
def test_an_upload_response_without_a_pending_scan_is_invalid(body: bytes, says: str) -> None:
    without = {"THREADFIX_APPLICATION_ID": "", "THREADFIX_PENDING_SCAN_ID": ""}
    (error,) = errors("--upload-response", "up.json", files={"up.json": body}, **without)
    assert error.startswith("--upload-response: ")
    assert says in error


def test_one_gate_judges_one_application() -> None:
    for env in ({}, {"THREADFIX_APPLICATION_ID": ""}):
        (invalid,) = linked(link=LINK.replace("/6/", "/7/"), **env).invalid
        text = "they name several applications (6, 7); run the gate once for each of them."
        assert invalid.text == f"--application-id, --upload-response: {text}"
    (invalid,) = linked("--team-name", "a", "--application-name", "b", THREADFIX_APPLICATION_ID="").invalid
    assert "--team-name: the application is known from --upload-response already" in invalid.text


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://TF.example.com/threadfix/", "https://tf.example.com/threadfix"),
        ("https://tf.example.com/threadfix/rest/latest/applications", "https://tf.example.com/threadfix"),
        ("https://tf.example.com:443//threadfix", "https://tf.example.com/threadfix"),
        *((url, url) for url in (
            "https://tf.example.com", "https://tf.example.com:8443/restaurant", "http://localhost:8080/threadfix",
            "http://[::1]:8080/threadfix", "http://127.8.9.1/threadfix",
        )),
    ],
)  # fmt: skip
def test_a_url_is_brought_into_its_normal_form(given: str, normal: str) -> None:
    assert ok("--url", given).server.url == normal


@pytest.mark.parametrize(
    "given",
    [
        "https://user:hunter2@tf.example.com/", "https://tf/?apiKey=hunter2", "https://tf/#hunter2", "https://hunter2@",
        "https:///hunter2", "hunter2",
        "ftp://tf/", "https://tf/a b", "https://tf\\evil/", "https://tf:0/", "https://tf:99999/", "https://-tf-/",
        "https://tf..x/", "https://[::1/", "https://[fe80::1%25eth0]/", "https://tf/../x", "https://ТФ.example/",
        "https://tf/<x>", "https://[zz]/", "https://tf[::1]/", "https://[::1]tf/", "https://[1:2]/", "https://[1.2.3.4]/",
        "https://tf]/",
    ],
)  # fmt: skip
def test_an_ambiguous_url_is_invalid_and_not_shown(given: str) -> None:
    (error,) = errors("--url", given)
    assert error.startswith("--url: ")
    assert "hunter2" not in error
    assert "https://tf.example.com/threadfix" in error or "hunter2" not in given


def test_plain_http_to_another_host_must_be_allowed() -> None:
    for host in ("tf.example.com", "tf.localhost", "10.0.0.1", "localhost.example.com"):
        (error,) = errors("--url", f"http://{host}/threadfix")
        assert "--allow-http" in error
    assert ok("--url", "http://tf.example.com", "--allow-http", "true").server.allow_http


@pytest.mark.parametrize(
    ("env", "file", "says"),
    [
        (KEY, b"other", "THREADFIX_API_KEY and --api-key-file are both given; leave one out."),
        ("", b"\n", "--api-key-file: the file is empty; it must contain the API key."),
        ("", b"two\nlines", "line break"), ("two\nlines", None, "line break"),
        ("bell\x07", None, "control character"), ("ключ", None, "outside ASCII"), ("", b"\xff\xfd", "outside ASCII"),
        ("", codecs.BOM_UTF16_LE + b"\0\xd8k", "outside ASCII"),
        ("", b"\xff\xfe", "the file is empty"),
        ("k" * 513, None, "more than 512 characters"), ("", b"k" * 513, "more than 512 characters"),
        ("", bytes(range(256)) * 600, "more than 512 characters"),
        (f"APIKEY {KEY}", None, "begins with 'APIKEY '"), ("", f"apikey {KEY}".encode(), "begins with 'APIKEY '"),
        *((f"{mark}{KEY}{mark}", None, "has quotes around it") for mark in "\"'`"),
        *((text, None, "is an unexpanded variable")
          for text in ("$(TF_SECRET)", "${TF_SECRET}", "$TF_SECRET", "${{ secrets.TF_SECRET }}")),
    ],
)  # fmt: skip
def test_an_invalid_key_is_explained_and_not_shown(env: str, file: bytes | None, says: str) -> None:
    flags = () if file is None else ("--api-key-file", "key")
    (invalid,) = parsed(*flags, files={"key": file or b""}, THREADFIX_API_KEY=env).invalid
    assert says in invalid.text
    assert invalid.option == "THREADFIX_API_KEY" or "file" in str(invalid.option)
    for secret in ("two", "bell", "ключ", "kkkk", "TF_SECRET", KEY):
        assert secret not in invalid.text
    for key in ("", KEY):
        (error,) = errors("--api-key-file", "nowhere", THREADFIX_API_KEY=key)
        assert error == "--api-key-file: the file cannot be read (No such file or directory)."


def test_a_key_in_another_option_is_not_shown() -> None:
    for name in ("result-file", "ui-url", "url", "timeout"):
        sentences = errors(f"--{name}", f"https://{{scan_id}}/{KEY}")
        assert sentences
        assert KEY not in " ".join(sentences)
    (error,) = errors("--result-file", f"{KEY}.json")
    assert error == "--result-file: contains the API key, which would be shown; leave it out."


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        *((name, value, f"'{value}'") for name, value in (
            ("timeout", "soon"), ("application-id", "six"), ("pending-scan-id", "41;42"), ("on-timeout", "ignore"),
            ("insecure", "maybe"), ("criteria-from", "31.1.2026"), ("accept", "older"),
        )),
        *(("timeout", value, "the value") for value in (
            "a1b2" * 8, "3f2b8c1e-9d4a-4e6f-8a1b-0c2d3e4f5a6b", f"x{KEY[:8]}", KEY[:8].lower(), "so\non",
            "\u202enoos", "\udcff",
        )),
        ("api-version", "newest", "the value"), ("success-statuses", ",", "the value"),
        ("status-path", "rest/status", "the value"), ("result-file", "a\0b", "the value"),
    ],
)  # fmt: skip
def test_only_a_value_that_cannot_be_a_secret_is_shown(name: str, value: str, shown: str) -> None:
    key = KEY[:8]
    from_env = errors(f"--{name}", value, THREADFIX_API_KEY=key)
    flags = (f"--{name}", value, "--api-key-file", "key")
    from_file = errors(*flags, files={"key": key.encode()}, THREADFIX_API_KEY="")
    for lines in (from_env, from_file):
        assert lines[0].startswith(f"--{name}: {shown} ")
        assert key.lower() not in " ".join(lines).lower()


@pytest.mark.parametrize("name", [report.option for report in REPORTS if report.destination is Destination.FILE])
def test_each_report_has_its_own_file(name: str, tmp_path: Path) -> None:
    other = "junit-file" if name != "junit-file" else "html-file"
    (tmp_path / "a.xml").write_text("<scan/>")
    path, scans = f"{tmp_path}/./a.xml", ("--scan-file", f"{tmp_path}/*.xml")
    (invalid,) = errors(f"--{name}", path, f"--{other}", path)
    assert {*invalid.removesuffix(" name the same file; give each report its own file.").split(", ")} == {
        f"--{name}", f"--{other}",
    }  # fmt: skip
    shown = f"'{tmp_path}/a.xml' is also a report of the gate; choose another path for the report."
    assert errors(f"--{name}", path, *scans) == (f"--scan-file: {shown}",)


def test_the_next_report_has_its_own_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.BY_NAME, "new-file", Option("new-file", values.path, "Write it.", "Reports", "PATH"))
    monkeypatch.setattr(parsing, "REPORTS", (*REPORTS, Report("new-file", "the new report", Destination.FILE, "new")))
    test_each_report_has_its_own_file("new-file", tmp_path)


@pytest.mark.parametrize("key", [KEY, f"{KEY}$", f"a'{KEY}'", "$", "APIKEYS", "k" * 512])
def test_a_key_may_have_odd_characters_and_whitespace_around_it(key: str) -> None:
    assert ok(THREADFIX_API_KEY=f" {key}\n").server.api_key.reveal() == key
    in_file = {"key": f"{key}\n".encode()}
    assert ok("--api-key-file", "key", files=in_file, THREADFIX_API_KEY="").server.api_key.reveal() == key


@pytest.mark.parametrize(
    ("variable", "option"),
    [
        ("THREADFIX_SUCESS_STATUSES", "--success-statuses"), ("THREADFIX_SUCCESS_STATUS", "--success-statuses"),
        ("THREADFIX_TIMEOUTS", "--timeout"), ("THREADFIX_TIMOUT", "--timeout"),
        ("THREADFIX_APIKEY", "THREADFIX_API_KEY"),
        ("THREADFIX_ON_TIMEOU", "--on-timeout"), ("THREADFIX_URI", "--url"), ("THREADFIX_TIMEOTU", "--timeout"),
        ("THREADFIX_GATE_URL", "--url"), ("THREADFIX_GATE_PASS_CRITERA", "--pass-criteria"),
        ("THREADFIX_POLICIES", "--policy"), ("THREADFIX_GATE_POLICY", "--policy"), ("THREADFIX_X_POLICY", "--policy"),
        ("THREADFIX_CRITERIA_TO", "--pass-criteria"), ("THREADFIX_CRITERIA", "--pass-criteria"),
        ("THREADFIX_CRITERIA_FORM", "--criteria-from"), ("THREADFIX_SETLE_TIMOUT", "--settle-timeout"),
        ("THREADFIX_APPLICATIONID", "--application-id"),
    ],
)  # fmt: skip
def test_a_misspelt_variable_is_invalid(variable: str, option: str) -> None:
    """A misspelt list of statuses would open the gate."""
    (invalid,) = parse({}, GOOD | {variable: "hunter2"}, no_file, find).invalid
    meant = "THREADFIX_" + option.removeprefix("--").removeprefix("THREADFIX_").upper().replace("-", "_")
    assert invalid == InvalidOption(option, f"{variable} is not an option; did you mean {meant}?")
    assert parse({}, GOOD | {variable: " "}, no_file, find).settings


def test_other_unknown_variables_are_one_warning() -> None:
    result = parsed(THREADFIX_HOME="/opt", THREADFIX_SCANNER_TOKEN="hunter2")
    assert result.settings
    assert result.warnings == ("THREADFIX_HOME, THREADFIX_SCANNER_TOKEN are not options and have no effect.",)
    for name in ("HOME", "UI_URI", "TIMOU", "STATUS_URL", "FAIL_FAST", "STALL_AFTER", "GATE_ENGINE"):
        warning = f"THREADFIX_{name} is not an option and has no effect."
        assert parse({}, GOOD | {f"THREADFIX_{name}": "1"}, no_file, find).warnings == (warning,)


def test_the_variables_of_the_gate_itself_are_known() -> None:
    known = {f"THREADFIX_GATE_{name.upper().replace('-', '_')}" for name in OUTPUTS}
    known |= {"THREADFIX_GATE_ACTION", "THREADFIX_PYTHON", "THREADFIX_COMMAND"}
    assert "THREADFIX_GATE_EXIT_CODE" in known
    result = parse({}, GOOD | dict.fromkeys(known, "1"), no_file, find)
    assert (result.invalid, result.warnings) == ((), ())
    assert all(not unknown_variables({option.variable: "1"}) for option in OPTIONS)
    assert unknown_variables({"THREADFIX_GATE_CI": "1"}) == ("THREADFIX_GATE_CI",)


@pytest.mark.parametrize(
    ("name", "other", "letters"),
    [("URL", "URL", 0), ("URI", "URL", 1), ("UI", "URL", 2), ("TIMEOTU", "TIMEOUT", 1), ("ITMEOTU", "TIMEOUT", 2),
     ("", "A", 1), ("A", "TIMEOUT", 3), ("QUIET", "URL", 3)],
)  # fmt: skip
def test_the_distance_of_two_names(name: str, other: str, letters: int) -> None:
    assert distance(name, other, 3) == distance(other, name, 3) == letters


def test_a_missing_or_empty_upload_response_is_named() -> None:
    for held, flaw in (({}, "'up.json' does not exist: the upload left no response there"),
                       ({"up.json": b"\n"}, "is empty: the upload left no response in it")):  # fmt: skip
        (error,) = errors("--upload-response", "up.json", files=held)
        assert error == f"--upload-response: {flaw}; look at the upload's log."


def test_in_the_action_an_invalid_option_is_an_input() -> None:
    result = parse(
        {}, {"THREADFIX_GATE_ACTION": "1", "THREADFIX_TIMEOUT": "soon", "THREADFIX_TIMOUT": "1m"}, no_file, find
    )
    text = " ".join(map(str, result.invalid))
    assert "--" not in text
    assert "timeout: 'soon' is not a duration" in text
    assert "did you mean the input timeout?" in text
    assert "the API key is missing (api-key)" in text
    assert "url is missing; give the base URL of ThreadFix with its context path, for example url: https://tf" in text
    assert [invalid.option for invalid in result.invalid] == [
        "--timeout", "THREADFIX_API_KEY", "--url", "--pending-scan-id", "--application-id", "--timeout",
    ]  # fmt: skip


PULL_REQUEST = {"THREADFIX_API_KEY": "", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": "event.json"}
FORK, OWN = (
    b'{"pull_request": {"head": {"repo": {"full_name": "%s/shop"}}, "base": {"repo": {"full_name": "octo/shop"}}}}'
    % name
    for name in (b"someone", b"octo")
)


@pytest.mark.parametrize(
    ("env", "event", "why"),
    [
        (PULL_REQUEST, FORK, "no secrets to pull requests from forks."), (PULL_REQUEST, OWN, ""),
        (PULL_REQUEST, b'{"pull_request": null}', ""), (PULL_REQUEST, b"not json", ""), (PULL_REQUEST, None, ""),
        (PULL_REQUEST | {"GITHUB_EVENT_NAME": "pull_request_target"}, FORK, ""),
        (PULL_REQUEST | {"GITHUB_ACTOR": "dependabot[bot]"}, OWN, "only the secrets for Dependabot."),
        ({"GITLAB_CI": "true", "CI_COMMIT_REF_PROTECTED": "false"}, None, "and this one is not protected."),
        ({"GITLAB_CI": "true", "CI_COMMIT_REF_PROTECTED": "true"}, None, ""),
    ],
)  # fmt: skip
def test_a_missing_key_has_the_reason_of_the_ci_system_if_it_applies(
    env: dict[str, str], event: bytes | None, why: str
) -> None:
    files = {} if event is None else {"event.json": event}
    (error,) = errors(files=files, **{"THREADFIX_API_KEY": "", **env})
    assert error.endswith(why or "name a file with --api-key-file.")


@pytest.mark.parametrize("value", ["$URL", "${URL}", "$(URL)", "${{ vars.URL }}"])
def test_a_variable_that_was_not_expanded_is_named(value: str) -> None:
    for flag in ("--url", "--scan-file", "--policy", "--ca-file"):
        (error,) = errors(flag, value)
        assert "is a variable that was not expanded; check its name" in error
    (error,) = errors("--ca-file", f"-----BEGIN CERTIFICATE-----\n{'MIIB' * 30}\n-----END CERTIFICATE-----\n")
    assert error == "--ca-file: the value is the text of a certificate or key; write it into a file, and name the file."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_files_of_powershell_are_understood(encoding: str) -> None:
    """With a byte order mark, in UTF-8 or UTF-16."""
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    link = "http://tf/rest/latest/applications/6/pendingScan/9/status"
    response = f'{{"success": true, "links": [{{"href": "{link}"}}]}}\r\n'
    files = {"api.key": mark + f"{KEY}\r\n".encode(encoding), "up.json": mark + response.encode(encoding)}
    settings = ok("--api-key-file", "api.key", "--upload-response", "up.json", files=files, THREADFIX_API_KEY="")
    assert (settings.server.api_key.reveal(), settings.pending_scan_ids) == (KEY, (41, 9))


def test_printing_the_settings_hides_the_key() -> None:
    result = parsed()
    assert KEY not in f"{result!r} {result}"
    assert f"{result.secrets[0]} {result.secrets[0]!r}" == "*** Secret(***)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api-version", "2.8"), ("api-version", "newest"), ("on-timeout", "ignore"), ("on-unknown-status", "pass"),
        ("insecure", "maybe"), ("status-path", "rest/status"), ("status-path", "https://evil/{pending_scan_id}"),
        ("status-path", "//evil/{pending_scan_id}"), ("status-path", "a/../{pending_scan_id}"),
        ("status-path", "{pending_scan_id}/{key}"), ("status-path", "a b/{pending_scan_id}"), ("status-path", "{"),
        ("ui-url", "javascript:alert({scan_id})"), ("ui-url", "{url}/{nothing}"), ("ui-url", "{url}/a b"),
        ("result-file", "a\0b"), ("success-statuses", ","), ("application-id", "six"),
    ],
)  # fmt: skip
def test_an_invalid_value_names_its_option_and_its_variable(name: str, value: str) -> None:
    (error,) = errors(f"--{name}", value)
    assert error.startswith(f"--{name}: ")
    variable = f"THREADFIX_{name.upper().replace('-', '_')}"
    error = str(parse({}, GOOD | {variable: value}, no_file, find).invalid[0])
    assert error.startswith(f"--{name} (from {variable}): ")


@pytest.mark.parametrize("rules", [("--policy", "all"), ("--pass-criteria", "true"), ()])
def test_a_rule_without_a_scan_is_invalid_and_names_rules_only(rules: tuple[str, ...]) -> None:
    """An empty `scan-file` must not turn into a pass on an old scan, but a deployment job has no scan."""
    (error,) = errors(*rules, THREADFIX_PENDING_SCAN_ID="")
    assert error.startswith("no scan is specified; set --scan-file")
    assert error.endswith("without a scan, as a deployment job does, set --rules-only.") is bool(rules)


def test_all_invalid_options_are_reported_together() -> None:
    unknown = InvalidOption("--tiemout", "unknown option --tiemout.")
    flags = {"timeout": ["soon"], "interval": ["x"], "on-timeout": ["y"]}
    result = parse(flags, {}, no_file, find, [unknown])
    assert [error.option for error in result.invalid] == [
        "--tiemout", "THREADFIX_API_KEY", "--url", "--pending-scan-id", "--application-id", "--timeout", "--interval",
        "--on-timeout",
    ]  # fmt: skip
    assert result.settings is None


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--interval", "20s"), "--interval (20s) is longer than --max-interval (15s); raise --max-interval too."),
        (("--success-statuses", "done, scan_deleted"),
         "--success-statuses and --failure-statuses both contain SCAN_DELETED; leave it in one of them."),
        (("--verbose", "true", "--quiet", "true"), "--verbose and --quiet contradict each other; leave one out."),
        (("--client-key", "k"), "--client-key requires --client-cert too."),
        (("--pass-criteria", "true", "--settle-timeout", "14s"),
         ("--settle-timeout (14s) is shorter than --max-interval (15s), the time between two responses about the pass "
          "criteria; write for example 2m.")),
        (("--criteria-from", "2026-01-01"),
         "--criteria-from narrows the pass criteria; add --pass-criteria, or leave it out."),
        (("--rules-only", "true", "--policy", "all"),
         "--rules-only judges the rules without a scan; leave out --pending-scan-id, or leave out --rules-only."),
        (("--team-name", "a"), "--team-name requires --application-name or --application-unique-id too."),
        (("--application-name", "b", "--application-unique-id", "c"),
         "--application-name and --application-unique-id both name the application; leave one of them out."),
        (("--application-name", "b"), ("--application-name: the application is known from --application-id (from "
         "THREADFIX_APPLICATION_ID) already; leave one out.")),
    ],
)  # fmt: skip
def test_contradicting_options_are_invalid(args: tuple[str, ...], says: str) -> None:
    assert errors(*args, files={"k": b""}) == (says,)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("insecure", "maybe", "'maybe' is neither true nor false; write true, 1, yes or on, or their opposites."),
        ("result-file", "a\0b", "the value contains a NUL character, which no file name can contain."),
        ("api-version", "2.8", ("the value is not a version; write latest, legacy, one such as v2.8 (with its v), or "
         "none.")),
        ("status-path", "a b/{pending_scan_id}", ("the value is not a path below the base URL; write it without host, "
         "whitespace, fragment, `.` and `..`.")),
        ("status-path", "{pending_scan_id}/{key}",
         "the value has an unknown placeholder; known are {application_id}, {pending_scan_id}, {version}."),
        ("ui-url", "javascript:x",
         "the value is not a URL; let it start with {url} or https:// and leave out whitespace."),
        ("timeout", "9000h", "'9000h' is more than a year; write for example 15m or 1h30m."),
        ("criteria-from", "31.1.2026", "'31.1.2026' is not a day; write it as 2026-01-31."),
        ("policy", "remediation:", "the value names no policy; write remediation:NAME."),
    ],
)  # fmt: skip
def test_an_invalid_value_has_an_explanation(name: str, value: str, error: str) -> None:
    assert errors(f"--{name}", value) == (f"--{name}: {error}",)
    assert ok("--status-path", "/a/{pending_scan_id}/").server.status_path == "a/{pending_scan_id}/"


@pytest.mark.parametrize(
    ("args", "risks"),
    [
        ((), []), (("--settle-timeout", "0"), []), (("--max-interval", "10s"), []), (("--pass-criteria", "true"), []),
        (("--policy", "all", "--max-interval", "10s"), []),
        (("--policy", "all", "--settle-timeout", "0"), ["{--settle-timeout 0}"]),
        (("--pass-criteria", "true", "--max-interval", "10s"), ["{--max-interval}"]),
    ],
)  # fmt: skip
def test_settings_that_weaken_a_rule_are_a_risk(args: tuple[str, ...], risks: list[str]) -> None:
    assert [risk.partition(":")[0] for risk in ok(*args).risks] == risks


def test_the_name_of_a_policy_may_have_colons() -> None:
    checks = ok("--policy", "remediation:a:b\nPCI: 2").checks
    assert checks == (Policy(name="a:b", remediation=True), Policy(name="PCI: 2"))


@pytest.mark.parametrize(
    ("missing", "args", "sentence"),
    [
        ("URL", (), ("--url is missing; give the base URL of ThreadFix with its context path, for example --url "
         "https://tf.example.com/threadfix, or set THREADFIX_URL.")),
        ("APPLICATION_ID", (), ("--application-id is missing; set it to the number in the address of the application's "
         "page in ThreadFix, for example --application-id 6, or THREADFIX_APPLICATION_ID; or set --application-name to "
         "look it up.")),
        ("API_KEY", (), ("the API key is missing (THREADFIX_API_KEY); set it from a secret of your CI, or name a file "
         "with --api-key-file.")),
        ("PENDING_SCAN_ID", ("--rules-only", "true"),
         "--rules-only: there is no rule to judge; set --policy or --pass-criteria too."),
        ("PENDING_SCAN_ID", (), ("no scan is specified; set --scan-file to the file to upload. For a scan that is "
         "uploaded already, set --pending-scan-id or --upload-response instead.")),
    ],
)  # fmt: skip
def test_a_missing_option_has_an_example(missing: str, args: tuple[str, ...], sentence: str) -> None:
    env = {f"THREADFIX_{missing}": ""}
    assert errors(*args, files=None, **env) == (sentence,)
    for rule in ("--policy", "--pass-criteria"):
        value = "all" if rule == "--policy" else "true"
        assert parsed("--rules-only", "true", rule, value, THREADFIX_PENDING_SCAN_ID="").settings


def test_the_settle_timeout_has_room_for_two_responses_about_the_pass_criteria() -> None:
    """The second response comes `--max-interval` after the first; 0 accepts the first response."""
    for settle, criteria in (("14s", "false"), ("15s", "true"), ("0", "true")):
        assert parsed("--settle-timeout", settle, "--pass-criteria", criteria).settings


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a folder that somebody works in")
def test_a_relative_path_needs_a_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    (error,) = errors("--result-file", "r.json")
    assert error.startswith("--result-file: the value is relative to the folder that the gate was started in")
    assert parsed("--result-file", str(tmp_path / "r.json")).settings


def test_an_error_that_follows_from_another_error_is_not_reported() -> None:
    for args in (
        ("--max-interval", "x", "--interval", "20s"),
        ("--max-interval", "x", "--pass-criteria", "true", "--settle-timeout", "14s"),
        ("--success-statuses", ",", "--failure-statuses", "DONE"),
    ):
        (error,) = errors(*args)
        assert error.startswith(args[0])


def test_standard_input_can_be_read_once() -> None:
    (error,) = errors("--api-key-file", "-", "--upload-response", "-", files={"-": KEY.encode()}, THREADFIX_API_KEY="")
    assert error == "--api-key-file, --upload-response: only one can come from standard input."


@pytest.mark.parametrize(
    ("name", "values"), [("timeout", ("",)), ("policy", ("PCI", "")), ("pending-scan-id", (" ", "41"))]
)
def test_an_empty_flag_is_invalid(name: str, values: tuple[str, ...]) -> None:
    """An unset shell variable must not silently mean the default, or drop a rule or a scan."""
    args = [word for value in values for word in (f"--{name}", value)]
    assert errors(*args) == (f"--{name}: {EMPTY}.",)


def test_choices_and_statuses_have_any_case() -> None:
    rules = ok("--success-statuses", "done", "--failure-statuses", "scan_deleted,Broken").rules
    assert rules == Rules(frozenset({"DONE"}), frozenset({"SCAN_DELETED", "BROKEN"}))
    assert ok("--on-timeout", "warn").downgraded == {Reason.TIMEOUT}
    assert ok("--on-unreachable", "WARN").downgraded == {Reason.UNREACHABLE}
    assert ok("--accept", "Duplicate empty").rules.accepted == frozenset(Accept)


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"THREADFIX_CA_FILE": "a", "REQUESTS_CA_BUNDLE": "b", "SSL_CERT_FILE": "c"}, (("--ca-file", "a"),)),
        ({"REQUESTS_CA_BUNDLE": "b", "SSL_CERT_FILE": "c", "SSL_CERT_DIR": "d"}, (("REQUESTS_CA_BUNDLE", "b"),)),
        ({"REQUESTS_CA_BUNDLE": " ", "SSL_CERT_FILE": "c", "SSL_CERT_DIR": "d"},
         (("SSL_CERT_FILE", "c"), ("SSL_CERT_DIR", "d"))),
        ({"SSL_CERT_DIR": "d"}, (("SSL_CERT_DIR", "d"),)), ({"SSL_CERT_FILE": ""}, ()),
    ],
)  # fmt: skip
def test_the_first_trust_store_that_is_set_counts(given: dict[str, str], chosen: tuple[tuple[str, str], ...]) -> None:
    settings = parse({}, GOOD | given, no_file, find).settings
    assert settings
    assert settings.server.ca_file == chosen
    assert errors("--ca-file", "\0", REQUESTS_CA_BUNDLE="b")


@pytest.mark.parametrize(("version", "path"), [("latest", "rest/latest"), ("none", "rest"), ("V2.8", "rest/v2.8")])
def test_the_version_is_a_segment_of_the_path(version: str, path: str) -> None:
    url = ok("--api-version", version).server.status_url(Target(6, 41))
    assert url == f"https://tf.example.com/threadfix/{path}/applications/6/pendingScan/41/status"


@pytest.mark.parametrize(
    ("pattern", "scan_id", "link"),
    [
        ("{url}/applications/{application_id}/scans/{scan_id}", 12, "https://tf.example.com/threadfix/applications/6/scans/12"),
        ("{url}/applications/{application_id}/scans/{scan_id}", None, None),
        ("https://tf/p/{pending_scan_id}", None, "https://tf/p/41"),
        (links.UI_URL, 12, None),
    ],
)  # fmt: skip
def test_a_scan_has_no_link_if_a_part_is_unknown(pattern: str, scan_id: int | None, link: str | None) -> None:
    assert ok("--ui-url", pattern).scan_url(6, scan_id, 41) == link
    assert ok("--ui-url", "{url}/t/{team_id}").scan_url(6, 12, 41, team_id=2) == "https://tf.example.com/threadfix/t/2"


def test_the_resume_command_repeats_the_options_without_the_key() -> None:
    """A timeout that is no longer than the default was too short."""
    assert "--timeout" not in ok("--timeout", "5m").resume([Target(6, 41)])
    settings = ok("--timeout", "45m", THREADFIX_PASS_CRITERIA="true", THREADFIX_SUMMARY="no", THREADFIX_JSON="1",
        THREADFIX_PENDING_SCAN_ID="41 42", THREADFIX_RESULT_FILE="my result.json")  # fmt: skip
    assert shlex.split(settings.resume([Target(6, 41), Target(6, 42)])) == [
        "threadfix-gate", "run", "--url", "https://tf.example.com/threadfix", "--timeout", "45m",
        "--pass-criteria", "--result-file", "my result.json", "--no-summary",
        "--application-id", "6", "--pending-scan-id", "41,42",
    ]  # fmt: skip


def test_the_resume_command_can_be_parsed_again_and_omits_the_defaults() -> None:
    """The action passes every input."""
    assert ok("--policy", "--PCI\n-x").arguments[2:] == ("--policy=--PCI", "--policy", "-x")
    every = {option.variable: option.default for option in OPTIONS if option.default is not None}
    settings = parse({}, GOOD | every, no_file, find).settings
    assert settings
    assert settings.arguments == ok().arguments


def test_the_early_parse_reads_no_file() -> None:
    result = parsing.parse_early({"junit-file": ["j.xml"], "api-key-file": ["endless"], "timeout": ["x"]}, GOOD)
    assert (result.reports.requested["junit-file"], result.settings, result.invalid) == ("j.xml", None, ())
    assert [secret.reveal() for secret in result.secrets] == [KEY]


def test_every_field_has_an_option() -> None:
    fields = {field.name for kind in (Plan, Reports, Server) for field in dataclasses.fields(kind)} - {"requested"}
    fields |= {report.option.replace("-", "_") for report in REPORTS}
    assert fields <= {option.name.replace("-", "_") for option in OPTIONS}
