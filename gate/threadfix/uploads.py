"""Uploads files to ThreadFix, and reads the response.

The form is the same as that of `curl --form file=@NAME`, except for its boundary. Each file is read while the form is
sent, so memory does not grow with the files.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gate.model.advice import Doing, FailureKind
from gate.model.history import NOT_TAKEN, Failure, Finished, Queued, Refused
from gate.model.reasons import Reason
from gate.net.files import opened
from gate.net.http import LONG_RESPONSE_LIMIT, RESPONSE_LIMIT
from gate.text.wording import count
from gate.threadfix import links, responses
from gate.threadfix.refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from gate.model.events import SendProgress
    from gate.model.history import Receipt
    from gate.model.subjects import Plan, ScanFile
    from gate.net.http import Response
    from gate.threadfix.api import ApiResponse, RestApi

CHUNK: Final = 256 * 1024  # bytes that are read and sent in one piece
CONTENT_TYPES: Final = {  # that curl knows, by the ending of the name, in any case
    b".gif": b"image/gif", b".jpg": b"image/jpeg", b".jpeg": b"image/jpeg", b".png": b"image/png",
    b".svg": b"image/svg+xml", b".txt": b"text/plain", b".htm": b"text/html", b".html": b"text/html",
    b".pdf": b"application/pdf", b".xml": b"application/xml",
}  # fmt: skip
OTHER_TYPE: Final = b"application/octet-stream"
ESCAPES: Final = ((b'"', b"%22"), (b"\r", b"%0D"), (b"\n", b"%0A"))  # in a file's name, as in curl and browsers
SYNCHRONOUS: Final = ("legacy", "")  # versions that process the file before they respond; `none` is empty
END: Final = b"\r\n"  # the end of a file in a form
NO_ENDPOINT: Final = (FailureKind.NO_ENDPOINT, FailureKind.UNRECOGNIZED_PATH)
UNKNOWN_STATE: Final = "Whether ThreadFix has the file is not known."


class FileError(Exception):
    """A file has changed since the gate started. The message is the rest of a sentence about the file, sanitized."""

    def __init__(self, file: ScanFile, text: str) -> None:
        super().__init__(text)
        self.file = file


class FileForm:
    """A form with files, which are read and hashed while the form is sent.

    It raises FileError if a file can no longer be opened, or has changed.
    """

    def __init__(self, files: Sequence[ScanFile], progress: SendProgress) -> None:
        boundary = f"------------------------{os.urandom(8).hex()}"
        self._files = tuple((_head(file, boundary.encode()), file, _state_of(file)) for file in files)
        self._tail = b"--%s--\r\n" % boundary.encode()
        self._progress = progress
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.len = sum(len(head) + file.size + len(END) for head, file, _ in self._files) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        sent, digests = 0, []
        for head, file, state in self._files:
            with _opened(file) as content:
                yield head
                digest = hashlib.sha256()
                for piece in pieces_of(content, file):
                    yield piece
                    digest.update(piece)
                    sent += len(piece)
                    self._progress(sent, ())
                # Checked before the end of the file is sent: a mixture of two files must not look complete.
                if _state_now(content, file) != state:
                    raise FileError(file, "was changed or replaced while it was sent.")
            digests.append(digest.hexdigest())
            yield END
        yield self._tail
        self._progress(sent, tuple(digests))


def _head(file: ScanFile, boundary: bytes) -> bytes:
    """Return the bytes of the form before a file."""
    name = os.fsencode(os.path.basename(file.path))  # noqa: PTH119 - as curl does
    kind = next((kind for ending, kind in CONTENT_TYPES.items() if name.lower().endswith(ending)), OTHER_TYPE)
    for character, escape in ESCAPES:
        name = name.replace(character, escape)
    disposition = b'Content-Disposition: form-data; name="file"; filename="%s"' % name
    return b"--%s\r\n%s\r\nContent-Type: %s\r\n\r\n" % (boundary, disposition, kind)


def pieces_of(content: FileIO, file: ScanFile) -> Iterator[bytes]:
    """Yield the content of an open file piece by piece.

    Raises:
        FileError: the file cannot be read, or has become shorter.
    """
    left = file.size
    while left:
        try:
            piece = content.read(min(CHUNK, left))
        except OSError as error:
            # Otherwise it would count as an error of the network.
            raise FileError(file, f"can no longer be read ({error.strerror}).") from error
        if not piece:
            raise FileError(file, f"has become shorter: {file.size - left} of {count(file.size, 'byte')} are left.")
        yield piece
        left -= len(piece)


def _state_of(file: ScanFile) -> tuple[object, ...]:
    with _opened(file) as content:
        return _state_now(content, file)


def _state_now(content: FileIO, file: ScanFile) -> tuple[object, ...]:
    """Return size, modification time and inode of the open file, and of the file that its path names."""
    try:
        states = (os.fstat(content.fileno()), os.stat(file.path))  # noqa: PTH116 - as it was opened
    except OSError as error:
        raise FileError(file, f"can no longer be found ({error.strerror}).") from error
    return tuple((state.st_size, state.st_mtime_ns, state.st_ino) for state in states)


@contextmanager
def _opened(file: ScanFile) -> Iterator[FileIO]:
    try:
        content = opened(file.path)
    except OSError as error:
        raise FileError(file, f"can no longer be opened ({error.strerror}).") from error
    with content:
        state = os.fstat(content.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise FileError(file, "was a regular file when the gate started, and no longer is.")
        if (now := state.st_size) != file.size:
            raise FileError(file, f"had {count(file.size, 'byte')} when the gate started, and now has {now}.")
        yield content


def upload(api: RestApi, application_id: int, plan: Plan, file: ScanFile, progress: SendProgress) -> Receipt:
    """Upload a file, once; several files that are parts of one scan in one request.

    Return the receipt. Only a failure that is `unsent` and not `final` may be tried again. `progress` is called in
    another thread.
    """
    started = False
    try:
        form = FileForm(file.files, progress)
        started = True
        path = links.UPLOAD_PARTS_PATH if file.parts else links.UPLOAD_PATH
        response = api.http.request(
            api.server.endpoint(path, application_id=application_id),
            plan.upload_timeout,
            form,
            connect_timeout=plan.request_timeout,
            # The response has all new findings.
            limit=LONG_RESPONSE_LIMIT if api.server.api_version in SYNCHRONOUS else RESPONSE_LIMIT,
        )
    except FileError as error:
        doing = Doing.UPLOAD if started else Doing.UPLOAD_UNSENT
        name = f" {error.file.shown}" if file.parts else ""
        what = f"the file{name} {error}"
        return Failure(Reason.USAGE, what, FailureKind.FILE_CHANGED, doing, final=True, unsent=not started)
    receipt = receipt_of(api, application_id, response)
    if file.parts and isinstance(receipt, Failure) and receipt.kind in NO_ENDPOINT:
        return replace(receipt, kind=FailureKind.NO_PARTS)
    return receipt


def receipt_of(api: RestApi, application_id: int, response: Response | Failure) -> Receipt:
    """Return the receipt for the response to an upload, or for its failure."""
    if isinstance(response, Failure):
        return replace(response, doing=Doing.UPLOAD_UNSENT) if response.unsent else _uncertain(response)
    received = api.read(response, refusals=True)
    if isinstance(received, Failure):
        return replace(received, doing=Doing.UPLOAD, final=True) if received.kind in NOT_TAKEN else _uncertain(received)
    if not received.envelope.success:
        message = responses.non_empty(received.envelope.message) or ""
        refusal = refusal_of(message)
        if response.early and refusal and refusal.accept:
            # The user may accept this refusal, but only for a complete file.
            return _uncertain(api.protocol(response, "refused the file for its content before it had all of it."))
        return Refused(api.sanitize(message), refusal)
    if response.early:
        return _uncertain(api.protocol(response, "reported success before it had the whole file."))
    return _accepted(api, application_id, received)


def _accepted(api: RestApi, application_id: int, response: ApiResponse) -> Receipt:
    """Return the receipt for a file that ThreadFix has accepted."""
    try:
        hrefs = map(api.redact, responses.pending_scan_links(response.envelope))
        targets = tuple(dict.fromkeys(map(links.status_link, hrefs)))
    except responses.NotThreadFixError as error:
        return _uncertain(api.malformed(response, "no usable links", error))
    except ValueError as error:
        return _uncertain(api.protocol(response.http, f"returned a link to a pending scan that {error}."))
    for target in targets:
        if target.application_id != application_id:
            what = f"returned a {target}, but the file was uploaded to application {application_id}."
            return _uncertain(api.protocol(response.http, what))
    if targets:
        return Queued(targets, response.http.date)
    what = "took the file, but returned no pending scan to wait for."
    if api.server.api_version in SYNCHRONOUS:
        try:
            scan = responses.finished_scan(response.envelope, application_id)
            return Finished(scan.id, response.http.date, api.text(scan.scanner_name))
        except responses.NotThreadFixError as error:
            what = f"took the file, but returned neither a link to a pending scan nor a finished scan: {error}."
    failure = api.protocol(response.http, what, FailureKind.NO_PENDING_SCAN)
    return replace(failure, doing=Doing.UPLOAD, final=True)


def _uncertain(failure: Failure) -> Failure:
    """Return the failure if ThreadFix may or may not have the file. The file must not be sent again."""
    what = f"{failure.what} {UNKNOWN_STATE}"
    return replace(failure, what=what, doing=Doing.UPLOAD, final=True, unsent=False)
