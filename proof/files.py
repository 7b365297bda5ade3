"""Change the files that the gate reads. Each function returns the changed variables, and the exit codes that are right.

Without such codes the file means the same as before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proof.bench import ORIGIN
from proof.changes import hostile

if TYPE_CHECKING:
    from random import Random

    from proof.bodies import World


def _key_file(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    key, blanks = world.key, rng.choice(("", "\n", "\r\n", "  \n\n"))
    path = folder / "key"
    good = rng.random() < 0.5
    if good:
        path.write_bytes(f"{blanks}{key}{blanks}".encode(rng.choice(("utf-8", "utf-8-sig", "utf-16"))))
    else:
        flip = bytearray(key.encode())
        flip[rng.randrange(len(flip))] ^= 1 << rng.randrange(8)
        path.write_bytes(
            rng.choice(
                (
                    b"",
                    b" \n",
                    f"{key}\n{key}".encode(),
                    b"\xff\xfe\x00",
                    key.encode() * 20,
                    rng.randbytes(40),
                    bytes(flip),
                    key.encode() + "\u00e9".encode(),
                )
            )
        )
    return {"THREADFIX_API_KEY": "", "THREADFIX_API_KEY_FILE": str(path)}, set() if good else {2, 4}


def _ca_file(folder: Path, rng: Random, _: World) -> tuple[dict[str, str], set[int]]:
    import certifi

    pem = re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", certifi.contents(), re.DOTALL)[0]  # type: ignore[index]
    path = folder / "ca.pem"
    good = rng.random() < 0.5
    text = rng.choice((pem, f"# zq9\n{pem}", pem * 3, pem.replace("\n", "\r\n")))
    bad = rng.choice(
        (
            b"",
            b"zq9",
            pem.encode()[: rng.randrange(len(pem) - 60)],
            pem.replace("CERTIFICATE", "PRIVATE KEY").encode(),
            rng.randbytes(500),
        )
    )
    path.write_bytes(text.encode() if good else bad)
    variable = rng.choice(("THREADFIX_CA_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    # Without TLS the file does not matter.
    return {variable: str(path), "THREADFIX_URL": f"https{ORIGIN[4:]}/threadfix"}, set() if good else {2}


def _client_cert(folder: Path, rng: Random, _: World) -> tuple[dict[str, str], set[int]]:
    (folder / "client.pem").write_bytes(
        rng.choice((b"", rng.randbytes(300), b"-----BEGIN CERTIFICATE-----\nzq9\n-----END CERTIFICATE-----\n"))
    )
    return {"THREADFIX_CLIENT_CERT": str(folder / "client.pem")}, {2}


def _event_file(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    fork = rng.random() < 0.5
    sides = {
        "head": {"repo": {"full_name": "evil/shop" if fork else "octo/shop"}},
        "base": {"repo": {"full_name": "octo/shop"}},
    }
    body = json.dumps({"pull_request": sides, "zq9": hostile(rng, world.key)}).encode()
    if cut := rng.random() < 0.4:
        body = rng.choice(
            (body[: rng.randrange(len(body))], b"[" * 9000, b"null", b'{"pull_request": 1}', rng.randbytes(99))
        )
    (folder / "event.json").write_bytes(body)
    env = {
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "THREADFIX_API_KEY": "",
    }
    # The marker is a valid path that no request uses, because nothing is sent.
    return env | {
        "THREADFIX_STATUS_PATH": f"rest/{'fork' if fork and not cut else 'own'}/{{application_id}}/{{pending_scan_id}}"
    }, {2}


def _list(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    (folder / "empty.xml").write_bytes(b"")
    missing = re.sub(r"[\0\n\r]", "", hostile(rng, "x" * 9)).replace("\ud800", "\udcff")
    bad = rng.choice(
        (
            f"{folder}/zq9-{missing}",
            str(folder / "empty.xml"),
            str(folder),
            f"{folder}/zq9[*",
            "/dev/null",
            f"{folder}/**/zq9/*",
        )
    )
    files = [str(folder / name) for name in world.files]
    for name in files:
        Path(name).write_bytes(b"<report/>")
    return {"THREADFIX_SCAN_FILE": "\n".join(rng.sample([*files, bad], len(files) + 1))}, {2}


def _name(_: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    text = re.sub(r"[\0/\r\n\v\f\x1c-\x1e\x85\u2028\u2029\ud800]", "", hostile(rng, "x" * 9))[:60]
    world.files = [f"{place}-{text}.{name.rpartition('.')[2]}" for place, name in enumerate(world.files)]
    return {}, set()


CHANGES: Final = {
    "key": _key_file,
    "ca": _ca_file,
    "cert": _client_cert,
    "event": _event_file,
    "list": _list,
    "name": _name,
}
