"""[destinations.NAME]: who is told. One class for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr, model_validator

from detector.wiring.section import Cidrs, Section, SeverityName, one_of


class Destination(Section):
    """What all destinations share."""

    min_severity: SeverityName = Field(default="info", description="Alerts below this are not sent here.")
    heartbeat: bool = Field(
        default=False,
        description="Send a heartbeat here every minute while it makes progress: for a dead man's switch.",
    )


class WebhookDestination(Destination):
    """Signed HTTP POSTs (Standard Webhooks)."""

    type: Literal["webhook"]
    url: SecretStr = Field(description="Where to, https. Its path may hold a token, so it is treated as a secret.")
    secret: SecretStr | None = Field(default=None, description="Key of the signature, whsec_ and base64.")
    secret_file: Path | None = Field(
        default=None, description="File that holds the key; a second line is the key being retired."
    )
    allow_http: bool = Field(default=False, description="Allow http://: only for a receiver on this machine.")
    allow_cidrs: Cidrs = Field(
        default=(), description="Private networks it may connect to; without, public addresses only."
    )

    @model_validator(mode="after")
    def _complete(self) -> WebhookDestination:
        one_of(self, "secret")
        url = self.url.get_secret_value()
        if not url.startswith("https://" if not self.allow_http else ("http://", "https://")):
            raise ValueError("url must begin with https:// (allow_http = true permits http://)")
        if self.secret is None and self.secret_file is None:
            raise ValueError("give secret_file (or secret): a receiver must be able to tell our alerts from anybody's")
        return self


class JsonlDestination(Destination):
    """A file, one alert a line."""

    type: Literal["jsonl"]
    path: Path = Field(description="The file; lines are added.")


class StdoutDestination(Destination):
    """The daemon's standard output, one alert a line."""

    type: Literal["stdout"]


AnyDestination: TypeAlias = Annotated[
    WebhookDestination | JsonlDestination | StdoutDestination, Field(discriminator="type")
]
