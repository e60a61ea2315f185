"""Settings of Jira: where it is, which of the two it is, and who we are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from processor.settings.section import Address, Section, from_file

Deployment = Literal["auto", "cloud", "datacenter"]


class JiraOAuthSettings(Section):
    """OAuth 2.0 for Jira Cloud: a service account's client credentials, or the refresh token of an app."""

    client_id: str = Field(description="Id of the app, or of the service account's credential.")
    client_secret: SecretStr | None = Field(None, description="Its secret.")
    client_secret_file: Path | None = Field(None, description="File that holds the secret; read again when refused.")
    refresh_token_file: Path | None = Field(
        None,
        description="File that holds the refresh token of an app that a person has allowed (3LO). Each use gives a new "
        "one, which is written there. Without it client credentials are used (2LO).",
    )
    scope: str | None = Field(None, description="Scopes to ask for, separated by spaces; by default all that are set.")
    cloud_id: str | None = Field(None, description="Id of the site; by default looked up by jira.url.")
    token_url: Address = Field("https://auth.atlassian.com/oauth/token", description="Where tokens come from.")
    api_url: Address = Field("https://api.atlassian.com", description="Gateway that requests with such tokens go to.")

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, values: Any) -> Any:
        return from_file(values, "client_secret")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.client_secret is None:
            raise ValueError("jira.oauth needs client_secret or client_secret_file")
        return self


class JiraFeedbackSettings(Section):
    """How the daemon hears what people say of findings by what they do with tickets."""

    every_s: float = Field(60, ge=0, description="Seconds between two looks at what has changed; 0: none is taken.")
    label: str = Field(
        "faultstream-wrong", pattern=r"^[\w.-]+$", description="Label that says that a ticket's finding is wrong."
    )
    category_field: str | None = Field(
        None, description="Name or id of the field in which people correct the category of a finding."
    )


class JiraSettings(Section):
    """The Jira that tickets go to."""

    url: Address = Field(description="Base address, such as https://jira.example.com or https://example.atlassian.net.")
    deployment: Deployment = Field(
        "auto", description="Jira Cloud (REST v3) or Data Center (REST v2); auto asks the server which it is."
    )
    user: str | None = Field(
        None,
        description="Name for basic authentication; on Cloud the account's e-mail address. Without it the token is a "
        "bearer, as Data Center's personal access tokens are.",
    )
    token: SecretStr | None = Field(None, description="Personal access token, API token or password.")
    token_file: Path | None = Field(None, description="File that holds the token; read again when Jira answers 401.")
    oauth: JiraOAuthSettings | None = Field(None, description="OAuth 2.0, instead of a token; Jira Cloud only.")
    ca_file: Path | None = Field(None, description="Certificates of the authorities to trust, besides the system's.")
    timeout_s: float = Field(20, gt=0, description="Bound on one request.")
    concurrency: int = Field(4, ge=1, description="Most requests that one daemon has under way at once.")
    requests_per_minute: int = Field(
        600,
        ge=1,
        description="Most requests in a minute, of all daemons together: each keeps to the part that its partitions of "
        "the commands are of all. Where Jira allows less, that is found out; creating tickets goes before comments, "
        "and these before edits.",
    )
    requests_per_second: int = Field(20, ge=1, description="Most requests in a second, shared likewise.")
    search_lag_s: float = Field(120, ge=0, description="How long a new issue may be missing from Jira's search.")

    feedback: JiraFeedbackSettings = Field(
        default_factory=JiraFeedbackSettings, description="What people do with tickets, heard by asking."
    )

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, values: Any) -> Any:
        if isinstance(values, dict) and "threads" in values:
            raise ValueError("threads is called concurrency now: write jira.concurrency (it is requests at once)")
        return from_file(values, "token")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.oauth is not None and (self.token is not None or self.user is not None):
            raise ValueError("jira.oauth stands instead of jira.user and jira.token: set one of them")
        if self.oauth is not None and self.deployment == "datacenter":
            raise ValueError("jira.oauth is for Jira Cloud; on Data Center set a personal access token")
        return self
