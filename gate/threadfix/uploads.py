"""Uploads one file to ThreadFix: the form that carries it, and what ThreadFix's response to it amounts to.

The form is that of `curl --form file=@NAME`, byte for byte but for its boundary. It is read from the file while it is
sent, so that memory does not grow with the file.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gate.model.history import Failure, Finished, Queued, Refused
from gate.model.reasons import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, Reason
from gate.options.files import opened
from gate.text.wording import count
from gate.threadfix import links, responses
from gate.threadfix.api import CLIENT_ERRORS, NO_ENDPOINT_HINT, NOT_FOUND, REDIRECTS, TEMPORARY, ApiResponse, RestApi
from gate.threadfix.refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from gate.model.history import Receipt
    from gate.model.subjects import ScanFile
    from gate.net.http import Response

CHUNK: Final = 256 * 1024
"""Bytes of a file that are read and sent at once."""
CONTENT_TYPES: Final = (
    (b".gif", "image/gif"),
    (b".jpg", "image/jpeg"),
    (b".jpeg", "image/jpeg"),
    (b".png", "image/png"),
    (b".svg", "image/svg+xml"),
    (b".txt", "text/plain"),
    (b".htm", "text/html"),
    (b".html", "text/html"),
    (b".pdf", "application/pdf"),
    (b".xml", "application/xml"),
)
"""The types that curl knows, by how a name ends in any case."""
OTHER_TYPE: Final = "application/octet-stream"
ESCAPES: Final = ((b'"', b"%22"), (b"\r", b"%0D"), (b"\n", b"%0A"))
"""What a file's name cannot have in a form, and how curl and browsers write it."""
TOO_LARGE: Final = 413
SYNCHRONOUS: Final = ("legacy", "")
"""The versions, `--api-version none` among them, with which ThreadFix processes a file before it responds."""

UNSENT_MEANING: Final = "ThreadFix could not be reached, so nothing of the file was sent."
NOT_TAKEN: Final = "ThreadFix did not take the file"
UNKNOWN_STATE: Final = "Whether ThreadFix has the file is not known."
BROKEN_OFF: Final = "The upload was broken off before its end, so ThreadFix does not have the whole file."
FILE_HINT: Final = (
    "Start the gate only when the scanner's job has written its report to the end; then run the gate again."
)
DENIED_MEANING: Final = (
    f"{NOT_TAKEN}: it does not accept the API key, or the key's user may not upload to this application."
)
NOT_FOUND_MEANING: Final = f"{NOT_TAKEN}: it has no such endpoint, or no such application."
TOO_LARGE_MEANING: Final = f"{NOT_TAKEN}: it is too large for ThreadFix, or for a proxy in front of it."
TOO_LARGE_HINT: Final = (
    "A size limit of the proxy or web server in front of ThreadFix is likely, such as nginx's client_max_body_size. "
    "Have it raised, or make the report smaller."
)
REJECTED_MEANING: Final = (
    f"{NOT_TAKEN}. The response is not from its REST API; often such a one is from a login page or a proxy."
)
NO_HANDLE_MEANING: Final = "ThreadFix took the file, but the gate cannot learn when it is processed."
NO_HANDLE_HINT: Final = (
    "ThreadFix 2.5 and later return a link to the pending scan: check {--api-version}. With `{--api-version legacy}`, "
    "every version responds after it has processed the file."
)


class Limits(Protocol):
    """How long an upload may take, in seconds."""

    @property
    def request_timeout(self) -> float:
        """To connect."""
        ...

    @property
    def upload_timeout(self) -> float:
        """As a whole, its response included."""
        ...


class FileError(Exception):
    """The file is not what it was when the gate started; the sentence says in which way, and is safe text."""


class FileForm:
    """A form with one file, which is read while the form is sent.

    Args:
        file: open at its beginning.
        path: the file's path; its last part is sent as the name.
        size: bytes that are in the file.
        progress: told how many bytes of the file have been sent.

    Attributes:
        content_type: what the form is, as its header says.
        len: bytes of the form.
    """

    def __init__(self, file: FileIO, path: str, size: int, progress: Callable[[int], None]) -> None:
        """Nothing is read yet.

        Raises:
            FileError: the file is gone.
        """
        name = os.fsencode(os.path.basename(path))  # noqa: PTH119 - as curl does
        boundary = f"------------------------{os.urandom(8).hex()}"
        kind = next((kind for ending, kind in CONTENT_TYPES if name.lower().endswith(ending)), OTHER_TYPE)
        for character, escape in ESCAPES:
            name = name.replace(character, escape)
        self._head = (
            b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: %s\r\n\r\n'
            % (boundary.encode(), name, kind.encode())
        )
        self._tail = b"\r\n--%s--\r\n" % boundary.encode()
        self._file = file
        self._path = path
        self._size = size
        self._state = self._state_now()
        self._progress = progress
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.len = len(self._head) + size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """The form piece by piece.

        Raises:
            FileError: the file changed.
        """
        yield self._head
        sent = 0
        while sent < self._size:
            piece = self._read(min(CHUNK, self._size - sent))
            if not piece:
                raise FileError(f"the file has become shorter: {sent} of {count(self._size, 'byte')} are left.")
            yield piece
            sent += len(piece)
            self._progress(sent)
        # The check comes before the form's end: a mixture of two files must not look like a whole one.
        if self._state_now() != self._state:
            raise FileError("the file was changed or replaced while it was sent.")
        yield self._tail

    def _state_now(self) -> tuple[tuple[int, int, int], ...]:
        """Return size, modification time and inode of the open file, and of the file that its path names."""
        try:
            found = (os.fstat(self._file.fileno()), os.stat(self._path))  # noqa: PTH116 - as it was opened
        except OSError as error:
            raise FileError(f"the file can no longer be found ({error.strerror}).") from error
        return tuple((state.st_size, state.st_mtime_ns, state.st_ino) for state in found)

    def _read(self, length: int) -> bytes:
        try:
            return self._file.read(length)
        except OSError as error:
            # No error of the network's.
            raise FileError(f"the file can no longer be read ({error.strerror}).") from error


def upload(
    api: RestApi, application_id: int, limits: Limits, file: ScanFile, progress: Callable[[int], None]
) -> Receipt:
    """Upload a file, once.

    Args:
        api: which ThreadFix.
        application_id: the application that it is a scan of.
        limits: how long it may take.
        file: what to upload.
        progress: told how many bytes of it have been sent, in another thread.

    Returns:
        What became of it. A failure that is `unsent` and not `final` may be tried again, any other one must not.

    Raises:
        BaseException: a bug; a failure is a value.
    """
    opened = False
    try:
        with _opened(file) as content:
            form = FileForm(content, file.path, file.size, progress)
            opened = True
            response = api.http.upload(
                api.server.endpoint(links.UPLOAD_PATH, application_id=application_id),
                form,
                connect_timeout=limits.request_timeout,
                timeout=limits.upload_timeout,
            )
    except FileError as error:
        meaning = BROKEN_OFF if opened else f"{NOT_TAKEN}: nothing of it was sent."
        return Failure(Reason.USAGE, str(error), FILE_HINT, final=True, meaning=meaning, unsent=not opened)
    return receipt_of(api, application_id, response)


@contextmanager
def _opened(file: ScanFile) -> Iterator[FileIO]:
    """The file, open.

    Raises:
        FileError: it cannot be opened any more, or has not the size that it had.
    """
    try:
        content = opened(file.path)
    except OSError as error:
        raise FileError(f"the file can no longer be opened ({error.strerror}).") from error
    with content:
        found = os.fstat(content.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FileError("the file was a regular one when the gate started, and now is none.")
        if found.st_size != file.size:
            what = f"the file had {count(file.size, 'byte')} when the gate started, and now has {found.st_size}."
            raise FileError(what)
        yield content


def receipt_of(api: RestApi, application_id: int, response: Response | Failure) -> Receipt:
    """What a response to an upload amounts to, or what came instead of one.

    Args:
        api: which ThreadFix.
        application_id: the application that the file was uploaded to.
        response: what came.
    """
    if isinstance(response, Failure):
        return replace(response, meaning=UNSENT_MEANING) if response.unsent else _uncertain(response)
    received = api.read(response, refusals=True)
    if isinstance(received, Failure):
        return _judged_by_status(received)
    if not received.envelope.success:
        message = responses.non_empty(received.envelope.message) or ""
        refusal = refusal_of(message)
        if response.early and refusal and refusal.accept:
            # What the user may accept is only known of a whole file.
            return _uncertain(api.protocol(response, "refused the file for its content before it had all of it."))
        return Refused(api.sanitize(message), refusal)
    if response.early:
        return _uncertain(api.protocol(response, "reported success before it had the whole file."))
    return _taken(api, application_id, received)


def _taken(api: RestApi, application_id: int, response: ApiResponse) -> Receipt:
    """What ThreadFix made of a file that it took."""
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
            return Finished(responses.finished_scan(response.envelope, application_id).id, response.http.date)
        except responses.NotThreadFixError as error:
            what = f"took the file, but returned neither a link to a pending scan nor a finished scan: {error}."
    failure = api.protocol(response.http, what, NO_HANDLE_HINT)
    return replace(failure, final=True, meaning=NO_HANDLE_MEANING)


def _judged_by_status(failure: Failure) -> Failure:
    """The failure of an upload by its HTTP status: a definite refusal, or else nobody knows."""
    code = failure.http_status or 0
    hint = failure.hint
    if failure.reason is Reason.DENIED:
        meaning = DENIED_MEANING
    elif code in NOT_FOUND:
        meaning, hint = NOT_FOUND_MEANING, NO_ENDPOINT_HINT
    elif code == TOO_LARGE:
        meaning, hint = TOO_LARGE_MEANING, TOO_LARGE_HINT
    elif code in REDIRECTS or (code in CLIENT_ERRORS and code not in TEMPORARY):
        meaning = REJECTED_MEANING
    else:
        return _uncertain(failure)
    return replace(failure, hint=hint, meaning=meaning, final=True)


def _uncertain(failure: Failure) -> Failure:
    """The failure of an upload after which nobody knows whether ThreadFix has the file; it must not be sent again."""
    hint = f"{UPLOAD_AGAIN} Allow more time with {{--upload-timeout}}." if failure.timed_out else UPLOAD_AGAIN
    return replace(
        failure, what=f"{failure.what} {UNKNOWN_STATE}", hint=hint, meaning=UPLOAD_UNCERTAIN, final=True, unsent=False
    )
