"""TLS with real servers, and certificates that are made here."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import certifi
import pytest
from cryptography import x509
from urllib3.util.ssl_ import create_urllib3_context

from gate.model.reasons import Reason
from gate.net.peer import Certificates, load_trust_store
from gate.sandbox.scenarios import Scenario
from tests.certificates import LOOPBACK, Authority, context
from tests.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gate.sandbox.server import ThreadFix
    from tests.conftest import Gate, Ran, Serve

DONE = Scenario("done", "", Reason.PROCESSED)
PATIENT = ("--first-contact-limit", "60s")
"""A second request within this limit shows that the first failure was not final."""
ONCE = ("--timeout", "0")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("company"), "company")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def good(company: Authority) -> tuple[Path, Path]:
    return company.issue("good", LOOPBACK, x509.DNSName("localhost"))


@pytest.fixture
def url(gate: Gate, serve: Serve, good: tuple[Path, Path]) -> str:
    return serve(gate.threadfix, tls=context(good))


def ask(gate: Gate, url: str, *args: str, **env: str) -> Ran:
    """Run the gate on a scan that is done, at `url`."""
    return gate.play(DONE, "--url", url, *args, env=env)


def refused(ran: Ran, threadfix: ThreadFix) -> str:
    """Return the message of a run that ended immediately, with nothing sent, because of the certificate."""
    assert (ran.document["reason"], ran.code, ran.document["polls"]) == (Reason.UNREACHABLE, 6, 1)
    assert (threadfix.connections, threadfix.seen) == (1, [])
    message: str = ran.document["message"]
    assert "does not verify" in message
    return message


def hashed(authority: Authority, folder: Path) -> Path:
    """Make a folder as OpenSSL has them: each certificate under its hash."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl, which makes the hashes, is not installed")
    name = subprocess.check_output([openssl, "x509", "-noout", "-hash", "-in", authority.file], text=True).strip()
    folder.mkdir()
    (folder / "README").write_text("no certificate")
    (folder / f"{name}.0").write_bytes(authority.file.read_bytes())
    return folder


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Give OpenSSL other default paths, and the distributions other files; without arguments the system has nothing."""

    def have(file: Path = tmp_path / "no", folder: Path = tmp_path / "no", bundles: tuple[Path, ...] = ()) -> None:
        paths = ssl.DefaultVerifyPaths("", "", "SSL_CERT_FILE", str(file), "SSL_CERT_DIR", str(folder))
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
        defaults = {"bundles": tuple(map(str, bundles)), "system": "linux"}
        monkeypatch.setattr(load_trust_store, "__kwdefaults__", defaults)

    return have


@pytest.mark.parametrize(
    "way",
    ["--ca-file={file}", "REQUESTS_CA_BUNDLE={folder}", "SSL_CERT_FILE={file}", "--ca-file={folder}",
     "SSL_CERT_DIR={several}", "SSL_CERT_FILE={stranger} SSL_CERT_DIR={folder}", "--ca-file={own}",
     "--insecure REQUESTS_CA_BUNDLE={missing}"],
)  # fmt: skip
def test_certificates_can_be_named(  # noqa: PLR0913 - fixtures
    *, way: str, gate: Gate, url: str, company: Authority, stranger: Authority, good: tuple[Path, Path], tmp_path: Path
) -> None:
    """As for curl, the server's own certificate is enough."""
    folder, missing = hashed(company, tmp_path / "certificates"), tmp_path / "missing"
    paths = {"file": company.file, "folder": folder, "stranger": stranger.file, "own": good[0], "missing": missing}
    words = [word.format(**paths, several=os.pathsep.join(map(str, (missing, folder)))) for word in way.split()]
    env = dict(word.split("=", 1) for word in words if not word.startswith("--"))
    address = url.replace("127.0.0.1", "localhost")
    ran = ask(gate, address, *(word for word in words if word.startswith("--")), **env)
    assert (ran.code, ran.document["server"]) == (0, address.removesuffix("/threadfix"))
    assert ("warning" in ran.err) is way.startswith("--insecure")


def test_an_unknown_authority_is_refused(gate: Gate, url: str) -> None:
    ran = ask(gate, url, *PATIENT)
    assert "issuer certificate" in refused(ran, gate.threadfix)
    assert "--ca-file" in ran.document["hint"]


def test_the_system_s_store_is_the_default(
    gate: Gate, url: str, system: Callable[..., None], company: Authority, stranger: Authority
) -> None:
    """OpenSSL's file and folder count together; without that file, the first bundle of a distribution counts."""
    folder, bad = hashed(company, gate.folder / "certificates"), junk(gate.folder)
    for paths, code in (
        ({"file": company.file}, 0),
        ({"folder": folder}, 0),
        ({"file": stranger.file, "folder": folder}, 0),
        ({"bundles": (gate.folder, bad, company.file, stranger.file)}, 0),
        ({"file": bad, "bundles": (company.file,)}, 0),
        ({"file": stranger.file, "bundles": (company.file,)}, 6),
    ):
        system(**paths)
        # CI systems set empty variables, which must count as unset.
        assert ask(gate, url, SSL_CERT_FILE="", SSL_CERT_DIR="").code == code


def test_certifi_s_certificates_count_if_the_system_has_none(
    gate: Gate, url: str, system: Callable[..., None], company: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    system()
    refused(ask(gate, url), gate.threadfix)
    monkeypatch.setattr(certifi, "contents", company.file.read_text)
    assert ask(gate, url).code == 0


@pytest.mark.parametrize(
    ("platform", "origin"), [("win32", "the operating system's and certifi's"), ("darwin", "certifi's")]
)
def test_on_windows_and_macos_certifi_s_certificates_always_count(platform: str, origin: str) -> None:
    assert re.fullmatch(rf"{origin}; [0-9]+ certificates", load_trust_store(client(), (), system=platform))


def test_the_name_of_a_store_has_the_number_of_its_certificates(
    company: Authority, system: Callable[..., None], tmp_path: Path
) -> None:
    folder = str(hashed(company, tmp_path / "certificates"))
    file = Certificates("--ca-file", str(company.file))
    assert load_trust_store(client(), (file,)) == f"--ca-file {company.file}; 1 certificate"
    assert load_trust_store(client(), (Certificates("SSL_CERT_DIR", folder),)) == f"SSL_CERT_DIR {folder}"
    system(file=company.file)
    assert load_trust_store(client(), ()) == f"the operating system's ({company.file}); 1 certificate"


def test_an_authority_needs_no_key_identifiers(
    gate: Gate, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private authorities often have none, and curl accepts them. Python 3.13 and urllib3 set a flag against it."""

    def strict(*, cert_reqs: int) -> ssl.SSLContext:
        strict_context: ssl.SSLContext = create_urllib3_context(cert_reqs=cert_reqs)
        strict_context.verify_flags |= ssl.VERIFY_X509_STRICT
        return strict_context

    monkeypatch.setattr("gate.net.http.create_urllib3_context", strict)
    plain = Authority(tmp_path, "plain", identifiers=False)
    url = serve(gate.threadfix, tls=context(plain.issue("server", LOOPBACK)))
    assert ask(gate, url, "--ca-file", str(plain.file)).code == 0


def test_a_chosen_store_replaces_the_default(
    gate: Gate, url: str, company: Authority, stranger: Authority, system: Callable[..., None]
) -> None:
    """The default store would let the server in. The option beats the variables, and of these the first counts."""
    system(file=company.file)
    ran = ask(gate, url, "--ca-file", str(stranger.file), *PATIENT, SSL_CERT_FILE=str(company.file))
    refused(ran, gate.threadfix)
    gate.threadfix.connections = 0
    refused(ask(gate, url, REQUESTS_CA_BUNDLE=str(stranger.file), SSL_CERT_FILE=str(company.file)), gate.threadfix)


def test_a_certificate_of_another_host_is_refused(gate: Gate, serve: Serve, company: Authority) -> None:
    url = serve(gate.threadfix, tls=context(company.issue("other", x509.DNSName("other.example"))))
    ran = ask(gate, url, "--ca-file", str(company.file), *PATIENT)
    assert "mismatch" in refused(ran, gate.threadfix)


def test_insecure_works_and_warns_on_every_run(gate: Gate, url: str, tmp_path: Path) -> None:
    for _ in range(2):
        ran = ask(gate, url, "--insecure")
        assert (ran.code, ran.err.count("warning: --insecure: ")) == (0, 1)
    output = tmp_path / "output"
    output.touch()
    ran = ask(gate, url, "--insecure", "--no-summary", GITHUB_ACTIONS="true", GITHUB_OUTPUT=str(output))
    assert len(re.findall("^::warning title=ThreadFix gate[^:]*::--insecure: ", ran.err, re.MULTILINE)) == 1


# --- Certificates of clients.


@pytest.fixture
def choosy_url(gate: Gate, serve: Serve, good: tuple[Path, Path], company: Authority) -> str:
    """A ThreadFix that requires a client certificate of the company."""
    return serve(gate.threadfix, tls=context(good, clients=company))


def test_a_client_certificate_is_given(gate: Gate, choosy_url: str, company: Authority, stranger: Authority) -> None:
    cert, key = company.issue("client")
    both = cert.with_name("both.pem")
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    other = stranger.issue("client")
    for files, code in (((cert, key), 0), ((both,), 0), ((), 6), (other, 6)):
        pair = (word for name, file in zip(("cert", "key"), files, strict=False) for word in (f"--client-{name}", file))
        assert ask(gate, choosy_url, "--ca-file", str(company.file), *map(str, pair), *ONCE).code == code
    assert len(gate.threadfix.seen) == 2


@pytest.mark.parametrize(("command", "kind"), [("run", "pipe"), ("doctor", "file")])
def test_the_secrets_of_tls_sessions_are_not_written(
    command: str, kind: str, gate: Gate, choosy_url: str, company: Authority
) -> None:
    """A user who can set a variable could decrypt recorded traffic with the key in it; a pipe would block for ever."""
    log = gate.folder / "secrets.log"
    if kind == "pipe":
        os.mkfifo(log)
    cert, key = company.issue("client")
    number = str(gate.threadfix.add(DONE))
    files = ("--ca-file", company.file, "--client-cert", cert, "--client-key", key)
    args = ("--url", choosy_url, "--pending-scan-id", number, *map(str, files))
    ran = Step(gate, gate.folder).run(*args, command=command, env={"SSLKEYLOGFILE": str(log)})
    assert ran.returncode == 0, ran.stderr
    assert log.exists() is (kind == "pipe")


def test_an_encrypted_client_key_is_a_usage_error(gate: Gate, url: str, company: Authority) -> None:
    """OpenSSL would ask for its password, and a build would hang. The input stays open here."""
    cert, key = company.issue("locked", password=b"hunter2")
    files = ("--ca-file", company.file, "--client-cert", cert, "--client-key", key)
    step, args = Step(gate, gate.folder), ("--url", url, "--pending-scan-id", "41", *map(str, files))
    # Without a terminal OpenSSL would read the password from the input.
    with step.start(*args, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(20) == 2
        assert process.stderr
        text = process.stderr.read()
    assert "--client-key" in text
    assert "unencrypted" in text
    assert "pass phrase" not in text
    assert gate.threadfix.connections == 0


def client() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def junk(folder: Path) -> Path:
    file = folder / "junk.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")
    return file


@pytest.mark.parametrize("way", ["--ca-file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "--client-cert"])
def test_a_path_without_a_certificate_is_a_usage_error(way: str, gate: Gate, url: str, tmp_path: Path) -> None:
    empty, folder, pipe = tmp_path / "empty.pem", tmp_path / "folder", tmp_path / "pipe"
    empty.touch()
    folder.mkdir()
    (folder / "0123abcd.0").write_bytes(junk(tmp_path).read_bytes())
    os.mkfifo(folder / "0123abcd.1")
    os.mkfifo(pipe)
    (tmp_path / "hollow").mkdir()
    for file in (junk(tmp_path), tmp_path / "missing.pem", empty, folder, pipe, tmp_path / "hollow"):
        option = (way, str(file)) if way.startswith("--") else ()
        env = {} if option else {way: str(file)}
        ran = ask(gate, url, *option, **env)
        assert (ran.document["reason"], ran.code) == (Reason.USAGE, 2)
        assert re.search(f"{way}(, --client-key)?: ", ran.err)
    assert gate.threadfix.connections == 0


def test_each_of_two_variables_must_hold_certificates(gate: Gate, url: str, company: Authority, tmp_path: Path) -> None:
    ran = ask(gate, url, SSL_CERT_FILE=str(company.file), SSL_CERT_DIR=str(tmp_path))
    assert (ran.code, "SSL_CERT_DIR: " in ran.err, "SSL_CERT_FILE: " in ran.err) == (2, True, False)


def test_a_file_without_a_certificate_is_reported_with_other_invalid_options(
    gate: Gate, url: str, tmp_path: Path
) -> None:
    options = ("--ca-file", str(junk(tmp_path)), "--client-cert", str(tmp_path / "missing.pem"), "--timeout", "soon")
    ran = ask(gate, url, *options)
    named = [invalid["option"] for invalid in ran.document["mistakes"]]
    assert named == ["--timeout", "--ca-file", "--client-cert"]


def test_a_key_of_another_certificate_is_a_usage_error(gate: Gate, url: str, company: Authority) -> None:
    cert, _ = company.issue("one")
    _, key = company.issue("two")
    ran = ask(gate, url, "--ca-file", str(company.file), "--client-cert", str(cert), "--client-key", str(key))
    assert (ran.code, gate.threadfix.connections) == (2, 0)
    assert ": the certificate and key cannot be read or do not match; both must be PEM" in ran.err


def test_http_to_a_server_with_https(gate: Gate, url: str) -> None:
    ran = ask(gate, url.replace("https://", "http://"), *ONCE)
    assert ran.document["reason"] == Reason.UNREACHABLE
    assert "https" in ran.document["message"] + ran.document["hint"]
    assert gate.threadfix.seen == []
