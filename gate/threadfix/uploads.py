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
    from gate.options.settings import Plan

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
TOO_LARGE: Final = 413
SYNCHRONOUS: Final = ("legacy", "")
"""Versions with a response only after the file is processed; `--api-version none` is empty."""

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
            )
    except FileError as error:
        meaning = BROKEN_OFF if started else f"{NOT_TAKEN}: nothing of it was sent."
        return Failure(Reason.USAGE, str(error), FILE_HINT, final=True, meaning=meaning, unsent=not started)
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
            raise FileError("the file was a regular one when the gate started, and now is none.")
        if state.st_size != file.size:
            what = f"the file had {count(file.size, 'byte')} when the gate started, and now has {state.st_size}."
            raise FileError(what)
        yield content


def receipt_of(api: RestApi, application_id: int, response: Response | Failure) -> Receipt:
    """Return the receipt for the response to an upload, or for its failure."""
    if isinstance(response, Failure):
        return replace(response, meaning=UNSENT_MEANING) if response.unsent else _uncertain(response)
    received = api.read(response, refusals=True)
    if isinstance(received, Failure):
        return _judged_by_status(received)
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
    failure = api.protocol(response.http, what, NO_HANDLE_HINT)
    return replace(failure, final=True, meaning=NO_HANDLE_MEANING)


def _judged_by_status(failure: Failure) -> Failure:
    """Return the failure of an upload by its HTTP status: a definite refusal, or an uncertain result."""
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
    """Return the failure if ThreadFix may or may not have the file. The file must not be sent again."""
    hint = f"{UPLOAD_AGAIN} Allow more time with {{--upload-timeout}}." if failure.timed_out else UPLOAD_AGAIN
    return replace(
        failure, what=f"{failure.what} {UNKNOWN_STATE}", hint=hint, meaning=UPLOAD_UNCERTAIN, final=True, unsent=False
    )
