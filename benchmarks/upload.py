"""Measures uploads: the gate's memory for a large and a small file, and its speed compared with `curl --form`.

Writes `upload.json`. A separate process receives the uploads and measures the time from the head of a request to the
response, so the start of a client does not count. The gate and curl alternate. The large file is sparse and takes no
space; `--megabytes 64` makes it smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from benchmarks.run import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
ROUNDS: Final = 7
MEGABYTES: Final = 2048
KEY: Final = "k" * 40
APPLICATION: Final = "/rest/latest/applications/6"
STATUS: Final = f"{APPLICATION}/pendingScan/41/status"
OBJECTS: Final[dict[str, object]] = {
    f"GET {APPLICATION}": {"id": 6, "name": "Contoso shop"},
    f"GET {STATUS}": {"status": "DONE", "error": False, "appId": 6},
    f"POST {APPLICATION}/upload": "Scan upload process started.",
}


def receive(certificate: str | None) -> None:
    """Serve connections one after the other for ever, and print the seconds of each upload."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection: socket.socket = server.accept()[0]
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                serve(connection)


def serve(connection: socket.socket) -> None:
    """Serve a request."""
    content = b""
    while b"\r\n\r\n" not in content:
        content += connection.recv(65536)
    began = time.perf_counter()
    head, _, body = content.partition(b"\r\n\r\n")
    if b"100-continue" in head:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    left = int(length[1]) - len(body) if length else 0
    buffer = bytearray(1024 * 1024)
    while left and (received := connection.recv_into(buffer)):
        left -= received
    request = " ".join(head.decode().split(" ", 2)[:2])
    links = [{"rel": "related", "href": f"http://10.150.1.155:8080{STATUS}"}]
    response = json.dumps({"success": True, "message": "", "object": OBJECTS[request], "links": links}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(response), response))
    if request.startswith("POST"):
        print(time.perf_counter() - began, flush=True)


@dataclass(frozen=True)
class Receiver:
    """The process that receives the uploads: its URL, and its output with the seconds of each upload."""

    url: str
    output: IO[str]

    def seconds(self) -> float:
        """Return the seconds of the newest upload."""
        return float(self.output.readline())


@contextmanager
def receiving(certificate: Path | None) -> Iterator[Receiver]:
    """Run a receiving process while the block runs; with a certificate, it uses TLS."""
    command = [sys.executable, __file__, "--receive", *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        port = process.stdout.readline().strip()
        try:
            yield Receiver(f"{'https' if certificate else 'http'}://127.0.0.1:{port}", process.stdout)
        finally:
            process.kill()


def by_gate(file: Path, receiver: Receiver, certificate: Path | None) -> tuple[float, float]:
    """Upload a file with the gate; return the seconds and the gate's peak memory in MB."""
    env = clean()
    env |= {"THREADFIX_URL": receiver.url, "THREADFIX_API_KEY": KEY, "THREADFIX_CA_FILE": str(certificate or "")}
    command = [sys.executable, "-m", "gate", "run", "--application-id", "6", "--scan-file", str(file)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The gate ended with {process.returncode}.")
    # The unit is KiB on Linux and bytes on macOS.
    return receiver.seconds(), usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def by_curl(file: Path, receiver: Receiver, certificate: Path | None) -> float:
    """Upload a file with curl; return the seconds."""
    trusted = ["--cacert", str(certificate)] if certificate else []
    command = ["curl", "--silent", "--fail", *trusted, "--form", f"file=@{file}", f"{receiver.url}{APPLICATION}/upload"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return receiver.seconds()


def certified(folder: Path) -> Path:
    """Create a certificate for this machine; return a file with the certificate and its key."""
    path = folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(path), "-out", str(folder / "certificate")]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    with path.open("a") as both:
        both.write((folder / "certificate").read_text())
    return path


def measured(megabytes: int) -> dict[str, float]:
    """Measure everything with a large file of the given size."""
    results: dict[str, float] = {"megabytes": megabytes}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = folder / "small.fpr", folder / "large.fpr"
        for file, size in ((small, 1), (large, megabytes)):
            with file.open("wb") as content:
                content.truncate(size * 1024 * 1024)
        for scheme, certificate in (("http", None), ("https", certified(folder))):
            gate: list[tuple[float, float]] = []
            curl: list[float] = []
            with receiving(certificate) as receiver:
                for _ in range(ROUNDS):
                    curl.append(by_curl(large, receiver, certificate))
                    gate.append(by_gate(large, receiver, certificate))
                _, memory = by_gate(small, receiver, certificate)
            speeds = statistics.median(curl) / statistics.median(seconds for seconds, _ in gate)
            results[f"{scheme}_speed_ratio"] = round(speeds, 2)
            results[f"{scheme}_memory_mb"] = round(memory, 1)
            results[f"{scheme}_large_memory_mb"] = round(max(peak for _, peak in gate), 1)
    return results


def main() -> None:
    """Measure everything and write the results; with `--receive`, receive uploads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help="size of the large file")
    parser.add_argument("--receive", nargs="?", const="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive is not None:
        receive(arguments.receive or None)
    if not shutil.which("curl"):
        raise SystemExit("curl is missing, which the gate is compared with.")
    text = json.dumps(measured(arguments.megabytes), indent=2) + "\n"
    (HERE / "upload.json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
