"""The kinds of failure, and the table of their meaning and advice."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple


class FailureKind(Enum):
    """The kind of a failure, decided once: by the connection, or by the reader of the response."""

    # The network.
    DNS = auto()
    REFUSED = auto()
    TLS = auto()
    CERTIFICATE = auto()
    CERTIFICATE_NOT_YET_VALID = auto()
    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_NAME = auto()
    PROXY = auto()  # the proxy could not be reached
    PROXY_REFUSED = auto()  # the proxy refused to connect to the server
    SOCKS = auto()
    RESET = auto()
    TIMEOUT = auto()  # the request ended at its time limit
    STALLED = auto()  # the server paused for too long within its response
    LIMIT = auto()  # this machine has no threads or file descriptors left
    MALFORMED = auto()  # the response breaks a rule of HTTP
    # The response.
    REDIRECT = auto()
    REDIRECT_TO_HTTPS = auto()
    REDIRECT_TO_LOGIN = auto()  # to the login page of another base URL
    REFUSED_PATH = auto()
    """A redirect to the login page of this base URL: ThreadFix does not accept an id or a name in the path."""
    REDIRECT_TO_HOST = auto()  # to a page of another host
    CONTEXT_PATH = auto()  # ThreadFix responds under `/threadfix` only
    UNRECOGNIZED_PATH = auto()  # ThreadFix itself reported that it has no such path
    WEB_PAGE = auto()
    NOT_THREADFIX = auto()
    UNAVAILABLE = auto()  # 408, 425, 429 or 5xx
    DENIED = auto()
    NO_CONTENT = auto()  # 204: ThreadFix's filter against forged requests sends it, before the request is read
    NO_KEY = auto()  # ThreadFix itself reported that no key arrived
    DENIED_PAGE = auto()  # 401 or 403 with a page that is not ThreadFix's
    LICENCE = auto()  # 403 with the page that ThreadFix returns without a valid licence
    NO_ENDPOINT = auto()  # 404 or 410: a wrong path, or a missing object
    NO_PARTS = auto()  # 404 or 410 for the upload of several files as one scan
    NOT_FOUND = auto()  # ThreadFix itself reported it, with HTTP 200
    PROXY_LOGIN = auto()
    TOO_LARGE = auto()
    REJECTED = auto()  # any other 4xx
    CACHED = auto()
    ANOTHER = auto()  # the response is about another application or policy
    # The object of the request.
    SEVERAL = auto()
    UNKNOWN_RULE = auto()
    FILE_CHANGED = auto()
    NO_PENDING_SCAN = auto()
    ANOTHER_UPLOAD = auto()  # the pending scan is another upload's
    NO_SLOT = auto()
    OTHER = auto()


CERTIFICATES: Final = frozenset({
    FailureKind.CERTIFICATE, FailureKind.CERTIFICATE_NOT_YET_VALID, FailureKind.CERTIFICATE_EXPIRED,
    FailureKind.CERTIFICATE_NAME,
})  # fmt: skip
"""The certificate does not verify."""


LASTING: Final = frozenset({
    FailureKind.UNRECOGNIZED_PATH, FailureKind.REDIRECT_TO_LOGIN, FailureKind.REFUSED_PATH,
    FailureKind.REDIRECT_TO_HTTPS,
})  # fmt: skip
"""Kinds that seldom pass by themselves."""


NAMED: Final = frozenset(
    {FailureKind.SEVERAL, FailureKind.CONTEXT_PATH, FailureKind.REDIRECT_TO_HTTPS, FailureKind.REDIRECT_TO_LOGIN}
)
"""Kinds whose message names the value to set, so that `doctor` could not add anything."""


class Doing(Enum):
    """The purpose of a request."""

    STATUS = auto()
    UPLOAD = auto()
    UPLOAD_UNSENT = auto()  # an upload, if nothing has left this machine
    LOOKUP = auto()
    LOOKUP_BY_NAME = auto()
    LOOKUP_BY_UNIQUE_ID = auto()
    CRITERIA = auto()
    POLICIES = auto()


LOOKUPS: Final = frozenset({Doing.LOOKUP, Doing.LOOKUP_BY_NAME, Doing.LOOKUP_BY_UNIQUE_ID})


class Advice(NamedTuple):
    """Templates of `gate.text.wording`, without text of a server. None is inherited, "" is that of the reason."""

    meaning: str | None = None
    hint: str | None = None


UPLOAD_UNCERTAIN: Final = (
    "It is unknown whether ThreadFix has the file. It may import it later, even after the upload was broken off; a "
    "second upload is then refused: 'Scan file has already been uploaded.'"
)
UPLOAD_AGAIN: Final = (
    "Look at the application's scans in ThreadFix. If the file is not there, run the gate again; if it may be there, "
    "do so with `{--accept duplicate}`, or wait for its pending scan with `{--pending-scan-id}` and without "
    "`{--scan-file}`."
)
_UNCERTAIN: Final = Advice(UPLOAD_UNCERTAIN, UPLOAD_AGAIN)
_CONNECTION: Final = (
    "Check that {--url} is the URL of ThreadFix, with https:// if its port uses TLS; then run the gate again."
)
_CONTEXT: Final = (
    "Does {--url} lack its context path, such as /threadfix? If it has one, check what responds there instead of "
    "ThreadFix: a login page, a proxy, a load balancer."
)
_VERSION: Final = "Set {--api-version} to the version of your ThreadFix, or {--api-version none} for 2.5 to 2.7."
_HTTPS: Final = "ThreadFix requires https: start {--url} with https://."
_PROXY_LOGIN: Final = "The proxy requires a login; put it into HTTPS_PROXY, as http://user:password@proxy:port."
_NOT_TAKEN: Final = "ThreadFix did not accept the file"
_REJECTED: Final = f"{_NOT_TAKEN}. The response is not from its REST API; often it is from a login page or a proxy."
_FILE: Final = "Start the gate only after the scanner has written its whole report; then run the gate again."
_NO_APPLICATION: Final = "ThreadFix does not know this application, or the key's user may not see it."
_NO_ENDPOINT: Final = "ThreadFix has no such endpoint, or no such application."
_ENDPOINT: Final = (
    "Check {--application-id}, that {--url} includes its context path, and that {--api-version} matches your ThreadFix."
)
_PATH: Final = "Check that {--url} includes its context path, and that {--api-version} matches your ThreadFix."
_BY_NAME: Final = "Write {--team-name} and {--application-name} as they are in ThreadFix, or set {--application-id}."
_BY_UNIQUE_ID: Final = (
    "Write {--team-name} and {--application-unique-id} as they are in ThreadFix, or set {--application-id}."
)
_CRITERIA: Final = (
    "Check that your ThreadFix is 2.5 or later, which is the first with CI/CD pass criteria, and that "
    "`{--api-version}` matches it."
)
_POLICIES: Final = (
    "Check the policy's name in ThreadFix, and that `{--api-version}` matches your ThreadFix. "
    "Before 2.6 the policy must be attached to the application. `remediation:` requires 2.8."
)
_ANOTHER_RULE: Final = Advice(
    "The response is about something other than the request, so it says nothing about the release.",
    "Check `{--application-id}`, and the name of the policy in ThreadFix; a policy can also be named by its id.",
)

_HINTS: Final = {
    FailureKind.DNS: "Check the host in {--url}, and that this machine can resolve names of your network; then run the "
    "gate again.",
    FailureKind.REFUSED: "Check the port in {--url}, and that ThreadFix is running; then run the gate again.",
    FailureKind.TLS: "Check that the server uses https on this port, with TLS 1.2 or later.",
    FailureKind.CERTIFICATE: "If your company signs its own certificates, add them to this machine's trust store, or "
    "name them with {--ca-file} or SSL_CERT_FILE; otherwise ask your ThreadFix administrator to renew the certificate.",
    FailureKind.CERTIFICATE_NOT_YET_VALID: "Check this machine's clock; if it is right, ask your ThreadFix "
    "administrator for a certificate that is valid now.",
    FailureKind.CERTIFICATE_EXPIRED: "Ask your ThreadFix administrator to renew the certificate; and check this "
    "machine's clock.",
    FailureKind.CERTIFICATE_NAME: "Write the host in {--url} as it is in the certificate. If it is right already, ask "
    "your ThreadFix administrator for a certificate with this name.",
    FailureKind.PROXY: "Check HTTPS_PROXY, and put hosts that need no proxy into NO_PROXY.",
    FailureKind.PROXY_REFUSED: "Ask the owner of the proxy to allow connections to ThreadFix, or put its host into "
    "NO_PROXY.",
    FailureKind.PROXY_LOGIN: _PROXY_LOGIN,
    FailureKind.SOCKS: "Name an http proxy in HTTPS_PROXY, or put the host into NO_PROXY.",
    FailureKind.RESET: _CONNECTION,
    FailureKind.MALFORMED: _CONNECTION,
    FailureKind.LIMIT: "Raise the limit (ulimit -n, ulimit -u), or wait for fewer scans in one run.",
    FailureKind.REDIRECT: _CONTEXT,
    FailureKind.WEB_PAGE: _CONTEXT,
    FailureKind.REDIRECT_TO_HTTPS: _HTTPS,
    FailureKind.CACHED: "Let every cache and proxy between the gate and ThreadFix pass the REST API through without "
    "storing it.",
    FailureKind.NO_SLOT: "Give the requests more time with {--request-timeout}, or name fewer scans.",
}
"""The advice that is the same for every purpose, for kinds that have the meaning of the reason."""

NOT_SERVED: Final[dict[FailureKind, Advice]] = {
    FailureKind.REDIRECT_TO_HOST: Advice(
        "A login page or a proxy responds instead of ThreadFix.",
        "Set {--url} to an address of ThreadFix that needs no single sign-on, or have the path /rest excepted from it.",
    ),
    FailureKind.REDIRECT_TO_LOGIN: Advice(
        "ThreadFix is there, but under another base URL than {--url}.",
        "Set {--url} to the base URL that the redirect names.",
    ),
    FailureKind.REFUSED_PATH: Advice(
        "ThreadFix does not accept an id or a name in the path of the request.",
        "Check the ids (whole numbers up to 2147483647). Instead of a name, set {--application-id}.",
    ),
    FailureKind.CONTEXT_PATH: Advice(
        "{--url} lacks the context path of ThreadFix.", "Set {--url} to the URL that is named here."
    ),
    FailureKind.UNRECOGNIZED_PATH: Advice(
        "ThreadFix has no such endpoint: it is older than the endpoint, or {--api-version} is wrong.", _VERSION
    ),
    FailureKind.NO_KEY: Advice(
        "No API key arrived at ThreadFix.",
        "Find out what removes the header Authorization: a proxy or web server in between is likely. ThreadFix 2.3 and "
        "the Community Edition read no header, so the gate cannot work with them.",
    ),
    FailureKind.DENIED_PAGE: Advice(
        "The page is not from ThreadFix's REST API. A firewall, a proxy or a single sign-on refuses the request.",
        "Ask the administrator of the named page to let requests of this machine to /rest through.",
    ),
    FailureKind.LICENCE: Advice(
        "ThreadFix itself refuses every request, as without a valid licence.",
        "Ask your ThreadFix administrator to renew the licence; then run the gate again.",
    ),
}
"""The kinds of a response that shows that ThreadFix did not serve the request, whatever its purpose."""

ADVICE: Final[dict[tuple[FailureKind | None, Doing | None], Advice]] = {
    **{(kind, None): Advice(hint=hint) for kind, hint in _HINTS.items()},
    **{(kind, None): advice for kind, advice in NOT_SERVED.items()},
    (FailureKind.ANOTHER, None): Advice(
        "The response is about something other than the request, so it says nothing about your scan.",
        "Check {--application-id} and {--status-path}.",
    ),
    (FailureKind.ANOTHER_UPLOAD, None): _UNCERTAIN,
    # The application.
    (FailureKind.SEVERAL, None): Advice(
        "ThreadFix has several applications that match.",
        "Set {--application-id} to the intended application, and omit its names; or name its team with {--team-name}.",
    ),
    (FailureKind.NOT_FOUND, Doing.LOOKUP): Advice(
        _NO_APPLICATION, "Check {--application-id} against the URL of the application's page in ThreadFix."
    ),
    (FailureKind.NO_ENDPOINT, Doing.LOOKUP): Advice(_NO_ENDPOINT, _ENDPOINT),
    **{
        (kind, doing): advice
        for doing, names in ((Doing.LOOKUP_BY_NAME, _BY_NAME), (Doing.LOOKUP_BY_UNIQUE_ID, _BY_UNIQUE_ID))
        for kind, advice in (
            (FailureKind.NOT_FOUND, Advice(_NO_APPLICATION, names)),
            (FailureKind.NO_ENDPOINT, Advice(_NO_ENDPOINT, f"{_PATH} {names}")),
            (FailureKind.ANOTHER, Advice("", names)),
        )
    },
    # The upload.
    (None, Doing.UPLOAD_UNSENT): Advice("Nothing of the file was sent, so it is safe to run the gate again."),
    (FailureKind.FILE_CHANGED, Doing.UPLOAD_UNSENT): Advice(f"{_NOT_TAKEN}: nothing of it was sent.", _FILE),
    (FailureKind.FILE_CHANGED, Doing.UPLOAD): Advice(
        "The upload was interrupted, so ThreadFix does not have the whole file.", _FILE
    ),
    (None, Doing.UPLOAD): _UNCERTAIN,
    (FailureKind.TIMEOUT, Doing.UPLOAD): Advice(
        UPLOAD_UNCERTAIN, f"{UPLOAD_AGAIN} Allow more time with {{--upload-timeout}}."
    ),
    (FailureKind.DENIED, Doing.UPLOAD): Advice(
        f"{_NOT_TAKEN}: it does not accept the API key, or the key's user may not upload to this application.", ""
    ),
    (FailureKind.NO_ENDPOINT, Doing.UPLOAD): Advice(
        f"{_NOT_TAKEN}: it has no such endpoint, or no such application.", _ENDPOINT
    ),
    (FailureKind.NO_CONTENT, Doing.UPLOAD): Advice(
        f"{_NOT_TAKEN}: nothing of it was taken.",
        "ThreadFix sends this before it reads a file, if the path has a character other than letters, digits and `/`: "
        "use `{--api-version latest}` in place of a version with a dot.",
    ),
    (FailureKind.NO_PARTS, Doing.UPLOAD): Advice(
        f"{_NOT_TAKEN}: it has no endpoint for several files as one scan.",
        "Check {--api-version}. If this ThreadFix is too old, have the scanner write one report, and omit "
        "{--one-scan}.",
    ),
    (FailureKind.TOO_LARGE, Doing.UPLOAD): Advice(
        f"{_NOT_TAKEN}: it is too large for ThreadFix, or for a proxy in front of it.",
        "A size limit of the proxy or web server in front of ThreadFix is likely, such as nginx's "
        "client_max_body_size. Have it raised, or make the report smaller.",
    ),
    **{
        (kind, Doing.UPLOAD): Advice(_REJECTED, _HINTS[kind])
        for kind in (FailureKind.REDIRECT, FailureKind.REDIRECT_TO_HTTPS, FailureKind.PROXY_LOGIN)
    },
    (FailureKind.REJECTED, Doing.UPLOAD): Advice(_REJECTED, ""),
    **{(kind, Doing.UPLOAD): Advice(f"{_NOT_TAKEN}. {row.meaning}", row.hint) for kind, row in NOT_SERVED.items()},
    (FailureKind.NO_PENDING_SCAN, Doing.UPLOAD): Advice(
        "ThreadFix accepted the file, but the gate cannot determine when it is processed.",
        "ThreadFix 2.5 and later return a link to the pending scan: check {--api-version}. With "
        "`{--api-version legacy}`, every version responds after it has processed the file.",
    ),
    # The rules.
    (FailureKind.DENIED, Doing.CRITERIA): Advice(
        hint="Give the key's user a role with the *Manage CI/CD* permission for the application: ThreadFix requires "
        "it for the pass criteria; *Upload Scans* is not enough."
    ),
    (FailureKind.DENIED, Doing.POLICIES): Advice(
        hint="Give the key's user read access to the application, with any role: ThreadFix requires it for policies; "
        "*Upload Scans* alone is not enough."
    ),
    **{
        (kind, doing): Advice(hint=hint)
        for doing, hint in ((Doing.CRITERIA, _CRITERIA), (Doing.POLICIES, _POLICIES))
        for kind in (
            FailureKind.NOT_FOUND,
            FailureKind.NO_ENDPOINT,
            FailureKind.UNRECOGNIZED_PATH,
            FailureKind.UNKNOWN_RULE,
        )
    },
    (FailureKind.ANOTHER, Doing.CRITERIA): _ANOTHER_RULE,
    (FailureKind.ANOTHER, Doing.POLICIES): _ANOTHER_RULE,
}
"""The more specific row counts: kind and purpose, then any kind with this purpose, then the kind with any purpose."""


def advise(kind: FailureKind, doing: Doing) -> Advice:
    """Return the advice for a kind of failure. The text of the reason replaces an empty field."""
    rows = [ADVICE.get(key, Advice()) for key in ((kind, doing), (None, doing), (kind, None))]
    return Advice(
        next((row.meaning for row in rows if row.meaning is not None), None),
        next((row.hint for row in rows if row.hint is not None), None),
    )


DOCTOR: Final = {
    "policies": "Correct the name or id, or attach the policy in ThreadFix. A policy that ThreadFix does not know ends "
    "the gate as policy-unknown.",
    "dns": "Check whether this machine's DNS server responds.",
    "connection": "Check whether a firewall blocks the connection, and whether this machine needs a proxy "
    "(HTTPS_PROXY).",
    "unavailable": "ThreadFix, or a proxy in front of it, is failing or overloaded; try again later.",
    "rest": "Check what serves this address: it is not ThreadFix's REST API.",
    "path": "Check that {--url} includes its context path, such as /threadfix, and that {--api-version} (and "
    "{--status-path}) match your ThreadFix; {--api-version none} is for 2.5 to 2.7.",
    "key": "Check that the secret is set and current, that the key belongs to this ThreadFix, and that its user may "
    "access the application.",
    "permission": "Give the key's user a role with the Upload Scans permission for this application: ThreadFix "
    "requires it for the status of a pending scan; read access is not enough.",
    "read-access": "Give the key's user read access to the application, with any role, or set {--application-id} "
    "instead of its names.",
    "names": "Check {--team-name}, and the application's name or unique id, against ThreadFix.",
    "pending-scan": "Check {--pending-scan-id} against the link in the upload's response: it is not the id of a "
    "finished scan.",
    "clock": "Correct the clock that is wrong; certificates are checked against this machine's.",
    "expiry": "Have the certificate renewed: once it has expired, no gate can connect.",
    "insecure": "The API key may be sent to an impostor; set {--ca-file} to your company's CA certificates instead.",
    "status-endpoint": "This ThreadFix may lack the status endpoint, which exists from 2.5 on; without it no gate can "
    "work. Check {--api-version} and {--status-path}.",
    "context-path": "ThreadFix usually has a context path, such as /threadfix; if yours has one, add it.",
    "http": "{--allow-http}: the API key is sent unencrypted.",
    "scan-unset": "Set {--pending-scan-id} or {--upload-response}; before the first upload, there is no pending scan.",
    "application-unset": "Set {--application-id}.",
    "options": "{@help}.",
}
"""The advice of `doctor` by step, for a failure without its own advice, and for the steps that it skips."""
