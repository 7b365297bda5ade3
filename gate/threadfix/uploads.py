"""Uploads a file to ThreadFix, and reads the response.

The form is the same as that of `curl --form file=@NAME`, except for its boundary. The file is read while the form is
sent, so memory does not grow with the file.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gate.model.advice import NOT_SERVED, Doing, FailureKind
from gate.model.history import Failure, Finished, Queued, Refused
from gate.model.reasons import Reason
from gate.net.files import opened
from gate.net.http import LONG_RESPONSE_LIMIT, RESPONSE_LIMIT
from gate.text.wording import count
from gate.threadfix import links, responses
from gate.threadfix.refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from gate.model.history import Receipt
    from gate.model.subjects import Plan, ScanFile
    from gate.net.http import Response
    from gate.threadfix.api import ApiResponse, RestApi

CHUNK: Final = 256 * 1024
"""Bytes that are read and sent in one piece."""
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
"""The types that curl knows, by the ending of the name, in any case."""
OTHER_TYPE: Final = "application/octet-stream"
ESCAPES: Final = ((b'"', b"%22"), (b"\r", b"%0D"), (b"\n", b"%0A"))
"""Characters that a form cannot have in a file's name, and their replacements in curl and browsers."""
SYNCHRONOUS: Final = ("legacy", "")
"""Versions with a response only after the file is processed; `--api-version none` is empty."""

UNKNOWN_STATE: Final = "Whether ThreadFix has the file is not known."
REFUSED: Final = frozenset(
    {
        *NOT_SERVED,
        FailureKind.DENIED,
        FailureKind.NO_CONTENT,
        FailureKind.NO_ENDPOINT,
        FailureKind.TOO_LARGE,
        FailureKind.REDIRECT,
        FailureKind.REDIRECT_TO_HTTPS,
        FailureKind.PROXY_LOGIN,
        FailureKind.REJECTED,
    }
)
"""Failures after which ThreadFix does not have the file."""


class FileError(Exception):
    """The file has changed since the gate started. The message is sanitized."""


class FileForm:
    """A form with one file, which is read while the form is sent.

    Args:
        file: open at its beginning.
        path: the file's path; its last part is sent as the name.
        size: bytes in the file.
        progress: called with the number of bytes of the file that have been sent.

    Raises:
        FileError: the file is gone.
    """

    def __init__(self, file: FileIO, path: str, size: int, progress: Callable[[int], None]) -> None:
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
        """Value of the request's header."""
        self.len = len(self._head) + size + len(self._tail)
        """Bytes of the whole form."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the form piece by piece.

        Raises:
            FileError: the file changed.
        """
        yield self._head
        sent = 0
        while sent < self._size:
            try:
                piece = self._file.read(min(CHUNK, self._size - sent))
            except OSError as error:
                # Otherwise it would count as an error of the network.
                raise FileError(f"the file can no longer be read ({error.strerror}).") from error
            if not piece:
                raise FileError(f"the file has become shorter: {sent} of {count(self._size, 'byte')} are left.")
            yield piece
            sent += len(piece)
            self._progress(sent)
        # Checked before the end of the form is sent: a mixture of two files must not look complete.
        if self._state_now() != self._state:
            raise FileError("the file was changed or replaced while it was sent.")
        yield self._tail

    def _state_now(self) -> tuple[tuple[int, int, int], ...]:
        """Return size, modification time and inode of the open file, and of the file that its path names."""
        try:
            states = (os.fstat(self._file.fileno()), os.stat(self._path))  # noqa: PTH116 - as it was opened
        except OSError as error:
            raise FileError(f"the file can no longer be found ({error.strerror}).") from error
        return tuple((state.st_size, state.st_mtime_ns, state.st_ino) for state in states)


def upload(api: RestApi, application_id: int, plan: Plan, file: ScanFile, progress: Callable[[int], None]) -> Receipt:
    """Upload a file, once.

    Args:
        api: of the server.
        application_id: of the application that was scanned.
        plan: has the time limits of the upload.
        file: to upload.
        progress: called with the number of bytes that have been sent, in another thread.

    Returns:
        The receipt. Only a failure that is `unsent` and not `final` may be tried again.
    """
    started = False
    try:
        with _opened(file) as content:
            form = FileForm(content, file.path, file.size, progress)
            started = True
            response = api.http.upload(
                api.server.endpoint(links.UPLOAD_PATH, application_id=application_id),
                form,
                connect_timeout=plan.request_timeout,
                timeout=plan.upload_timeout,
                # The response has all new findings.
                limit=LONG_RESPONSE_LIMIT if api.server.api_version in SYNCHRONOUS else RESPONSE_LIMIT,
            )
    except FileError as error:
        doing = Doing.UPLOAD if started else Doing.UPLOAD_UNSENT
        return Failure(Reason.USAGE, str(error), FailureKind.FILE_CHANGED, doing, final=True, unsent=not started)
    return receipt_of(api, application_id, response)


@contextmanager
def _opened(file: ScanFile) -> Iterator[FileIO]:
    """Open the file.

    Raises:
        FileError: the file can no longer be opened, or its size has changed.
    """
    try:
        content = opened(file.path)
    except OSError as error:
        raise FileError(f"the file can no longer be opened ({error.strerror}).") from error
    with content:
        state = os.fstat(content.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise FileError("the file was a regular file when the gate started, and no longer is.")
        if state.st_size != file.size:
            what = f"the file had {count(file.size, 'byte')} when the gate started, and now has {state.st_size}."
            raise FileError(what)
        yield content


def receipt_of(api: RestApi, application_id: int, response: Response | Failure) -> Receipt:
    """Return the receipt for the response to an upload, or for its failure."""
    if isinstance(response, Failure):
        return replace(response, doing=Doing.UPLOAD_UNSENT) if response.unsent else _uncertain(response)
    received = api.read(response, refusals=True)
    if isinstance(received, Failure):
        return replace(received, doing=Doing.UPLOAD, final=True) if received.kind in REFUSED else _uncertain(received)
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
            return Finished(responses.finished_scan(response.envelope, application_id).id, response.http.date)
        except responses.NotThreadFixError as error:
            what = f"took the file, but returned neither a link to a pending scan nor a finished scan: {error}."
    failure = api.protocol(response.http, what, FailureKind.NO_PENDING_SCAN)
    return replace(failure, doing=Doing.UPLOAD, final=True)


def _uncertain(failure: Failure) -> Failure:
    """Return the failure if ThreadFix may or may not have the file. The file must not be sent again."""
    what = f"{failure.what} {UNKNOWN_STATE}"
    return replace(failure, what=what, doing=Doing.UPLOAD, final=True, unsent=False)
