"""Which ThreadFix, and where its endpoints are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from gate.threadfix import links

if TYPE_CHECKING:
    from gate.model.subjects import Target
    from gate.net.addresses import Certificates
    from gate.text.sanitizer import Secret


@dataclass(frozen=True, slots=True)
class Server:
    """Which ThreadFix, and how to talk to it."""

    url: str
    """Base URL in normal form; empty where it could not be read."""
    api_key: Secret
    """The key of its REST API."""
    api_version: str = "latest"
    """Version segment of the path; empty for none."""
    status_path: str = links.STATUS_PATH
    """Path of the status endpoint below the base URL, with placeholders."""
    ca_file: tuple[Certificates, ...] = ()
    """The trust store; empty for the default one."""
    client_cert: str | None = None
    """Path of the client certificate."""
    client_key: str | None = None
    """Path of its key, where that is a file of its own."""
    insecure: bool = False
    """Whether the server's certificate is not verified."""
    allow_http: bool = False
    """Whether the key may go over plain http to another host."""

    def status_url(self, target: Target) -> str:
        """The URL of the status endpoint for `target`."""
        return self._endpoint(
            self.status_path, application_id=target.application_id, pending_scan_id=target.pending_scan_id
        )

    def application_url(self, application_id: int) -> str:
        """The URL of the endpoint that describes an application."""
        return self._endpoint(links.APPLICATION_PATH, application_id=application_id)

    def lookup_url(self, team: str) -> str:
        """The URL of the endpoint that finds an application of a team; what is looked for is not in it."""
        return self._endpoint(links.LOOKUP_PATH, team=quote(team, safe=""))

    def team_url(self) -> str:
        """The URL of the endpoint that finds a team; what is looked for is not in it."""
        return self._endpoint(links.TEAM_PATH)

    def teams_url(self) -> str:
        """The URL of the endpoint that lists the teams."""
        return self._endpoint(links.TEAMS_PATH)

    def endpoint(self, path: str, application_id: int) -> str:
        """The URL of another endpoint, by one of the paths in `gate.threadfix.links`."""
        return self._endpoint(path, application_id=application_id)

    def application_page(self, team_id: int | None, application_id: int) -> str | None:
        """The application's page for people; None where its team is not known."""
        if team_id is None:
            return None
        return links.APPLICATION_PAGE.format(url=self.url, team_id=team_id, application_id=application_id)

    def vulnerability_page(self, team_id: int | None, application_id: int, vulnerability_id: int) -> str | None:
        """A vulnerability's page for people; None where the application's team is not known."""
        page = self.application_page(team_id, application_id)
        return page and f"{page}/vulnerabilities/{vulnerability_id}"

    def _endpoint(self, template: str, **parts: int | str) -> str:
        template = template if self.api_version else template.replace("{version}/", "")
        return f"{self.url}/{template.format(version=self.api_version, **parts)}"
