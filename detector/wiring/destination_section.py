"""[destinations.NAME]: who is told. One class for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr, model_validator

from detector.wiring.section import Cidrs, Section, SeverityName, one_of
from detector.wiring.units import Duration


class Destination(Section):
    """What all destinations share."""

    min_severity: SeverityName = Field(default="info", description="Alerts below this are not sent here.")


class HttpDestination(Destination):
    """What all destinations share that are POSTed to."""

    allow_http: bool = Field(default=False, description="Allow http://: only for a receiver on this machine.")
    allow_cidrs: Cidrs = Field(
        default=(), description="Private networks it may connect to; without, public addresses only."
    )

    def secure(self, url: SecretStr | str | None) -> None:
        """ValueError where it would be sent in the clear and nobody said that it may."""
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        if text is not None and not text.startswith(("http://", "https://") if self.allow_http else "https://"):
            raise ValueError("url must begin with https:// (allow_http = true permits http://)")


class WebhookDestination(HttpDestination):
    """Signed HTTP POSTs (Standard Webhooks)."""

    type: Literal["webhook"]
    url: SecretStr = Field(description="Where to, https. Its path may hold a token, so it is treated as a secret.")
    secret: SecretStr | None = Field(default=None, description="Key of the signature, whsec_ and base64.")
    secret_file: Path | None = Field(
        default=None, description="File that holds the key; a second line is the key being retired."
    )

    heartbeat: bool = Field(
        default=False,
        description="Send a heartbeat here every minute while it makes progress: for a dead man's switch.",
    )

    @model_validator(mode="after")
    def _complete(self) -> WebhookDestination:
        one_of(self, "secret")
        self.secure(self.url)
        if self.secret is None and self.secret_file is None:
            raise ValueError("give secret_file (or secret): a receiver must be able to tell our alerts from anybody's")
        return self


class PagerdutyDestination(HttpDestination):
    """Events of PagerDuty (Events API v2)."""

    type: Literal["pagerduty"]
    routing_key: SecretStr | None = Field(
        default=None, description="Integration key of an Events API v2 integration: 32 letters and digits."
    )
    routing_key_file: Path | None = Field(default=None, description="File that holds the routing key.")
    url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="Where to; of an account in the EU https://events.eu.pagerduty.com/v2/enqueue.",
    )

    @model_validator(mode="after")
    def _complete(self) -> PagerdutyDestination:
        one_of(self, "routing_key")
        self.secure(self.url)
        if self.routing_key is None and self.routing_key_file is None:
            raise ValueError("give routing_key_file (or routing_key): it says whose pager this is")
        return self


class SlackDestination(HttpDestination):
    """Messages of a Slack channel (incoming webhook)."""

    type: Literal["slack"]
    url: SecretStr | None = Field(default=None, description="The webhook's address: whoever knows it may post there.")
    url_file: Path | None = Field(default=None, description="File that holds the address.")
    updates: bool = Field(default=False, description="Also a message for each update that changes no severity.")

    @model_validator(mode="after")
    def _complete(self) -> SlackDestination:
        one_of(self, "url")
        self.secure(self.url)
        if self.url is None and self.url_file is None:
            raise ValueError("give url_file (or url): the address of an incoming webhook")
        return self


class AlertmanagerDestination(HttpDestination):
    """Alerts of Prometheus' Alertmanager (API v2)."""

    type: Literal["alertmanager"]
    url: SecretStr = Field(description="Where it listens, https; /api/v2/alerts is added where it is not there.")
    token: SecretStr | None = Field(default=None, description="Bearer token, where something before it asks for one.")
    token_file: Path | None = Field(default=None, description="File that holds the token.")
    ends_after: Duration = Field(
        default=Duration.of("24h"),
        ge=Duration.of("5m"),
        le=Duration.of("365d"),
        description="What fires and is not told of again ends by itself then, as if this were its resolve_timeout.",
    )

    @model_validator(mode="after")
    def _complete(self) -> AlertmanagerDestination:
        one_of(self, "token")
        self.secure(self.url)
        return self


class JsonlDestination(Destination):
    """A file, one alert a line."""

    type: Literal["jsonl"]
    path: Path = Field(description="The file; lines are added.")


class StdoutDestination(Destination):
    """The daemon's standard output, one alert a line."""

    type: Literal["stdout"]


AnyDestination: TypeAlias = Annotated[
    WebhookDestination
    | PagerdutyDestination
    | SlackDestination
    | AlertmanagerDestination
    | JsonlDestination
    | StdoutDestination,
    Field(discriminator="type"),
]
