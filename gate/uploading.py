"""Uploads files in their order, each once: what may have left this machine is never sent again. Knows no ThreadFix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.errors import Cancelled
    from gate.events import UploadEvent
    from gate.history import Receipt, Upload
    from gate.settings import Plan
    from gate.subjects import ScanFile


def upload_all(  # noqa: PLR0913 - what to do, and on which terms
    files: Sequence[ScanFile],
    send: Callable[[ScanFile, Callable[[int], None]], Receipt],
    *,
    plan: Plan,
    jitter: Callable[[], float],
    notify: Callable[[UploadEvent], None],
    fatal: Callable[[Upload], bool],
) -> tuple[tuple[Upload, ...], Cancelled | None]:
    """Upload the files one after the other.

    Args:
        files: what to upload.
        send: makes one attempt for a file, and tells how many bytes have been sent; its receipt is a failure that is
            `unsent` where nothing of the request has left this machine.
        plan: how long, how often.
        jitter: draws a number in [-1, 1].
        notify: told of every event in the calling thread.
        fatal: whether an upload that is over makes the others not worth sending.

    Returns:
        What became of each file, in their order, and the cancellation that cut them short, if one did.
    """
    raise NotImplementedError
