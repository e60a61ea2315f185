"""Settings of the databases that pipelines may query."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, SecretStr, model_validator

from processor.settings.section import Section, from_file

SCHEMES: Final = ("sqlite:", "postgresql://", "postgres://")


class DatabaseSettings(Section):
    """A database that pipelines may query (`chain[].query.database`). It is only ever read."""

    url: SecretStr | None = Field(
        None,
        description="sqlite:/path/to/file.db, or postgresql://user:password@host/name; the user needs SELECT and "
        "nothing else. PostgreSQL needs the extra `postgres`.",
    )
    url_file: Path | None = Field(None, description="File that holds the url, where that has a password.")
    connections: int = Field(4, ge=1, le=64, description="Most queries at once.")
    connect_s: float = Field(5, gt=0, description="How long a connection may take.")

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, values: Any) -> Any:
        return from_file(values, "url")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.address.startswith(SCHEMES):
            raise ValueError(f"url: give one that begins with {', '.join(SCHEMES)} (or url_file, a file that holds it)")
        return self

    @property
    def address(self) -> str:
        """The url with what is secret in it."""
        return self.url.get_secret_value() if self.url is not None else ""
