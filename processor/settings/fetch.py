"""Which references to logs are followed: files, addresses on web servers, objects in S3 and what speaks like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from processor.settings.section import Address, Section, from_file

_SECRETS = ("access_key_id", "secret_access_key", "session_token")


class S3Settings(Section):
    """Object storage for references such as s3://bucket/key: Amazon S3, MinIO, Ceph and others that speak like it."""

    buckets: list[str] = Field(min_length=1, description="Buckets that logs may be fetched from.")
    endpoint: Address | None = Field(
        None, description="Base address of a service that isn't Amazon's, such as https://minio.example.com:9000."
    )
    region: str | None = Field(
        None,
        description="Region of the buckets; by default $AWS_REGION, else us-east-1.",
    )
    path_style: bool = Field(
        True,
        description="Whether the bucket stands in the path (host/bucket/key), else in the host (bucket.host/key).",
    )
    cafile: Path | None = Field(
        None,
        description="PEM file of the authorities that the endpoint's certificate is checked against; "
        "by default the system's.",
    )
    anonymous: bool = Field(False, description="Fetch without credentials, for public buckets.")
    access_key_id: SecretStr | None = Field(
        None,
        description="Access key. Without one, what the machine provides counts: AWS_ACCESS_KEY_ID and its like, "
        "a web identity (IAM roles for service accounts), a container's role, an instance's role.",
    )
    access_key_id_file: Path | None = Field(None, description="File that holds the access key.")
    secret_access_key: SecretStr | None = Field(None, description="Secret of the access key.")
    secret_access_key_file: Path | None = Field(
        None, description="File that holds the secret. All three files are read again each minute."
    )
    session_token: SecretStr | None = Field(None, description="Session token, with temporary credentials.")
    session_token_file: Path | None = Field(None, description="File that holds the session token.")

    @model_validator(mode="before")
    @classmethod
    def _files(cls, values: Any) -> Any:
        for name in _SECRETS:
            if isinstance(values, dict) and values.get(name) and values.get(f"{name}_file"):
                raise ValueError(f"{name} and {name}_file are both set; keep {name}_file alone")
            values = from_file(values, name)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            given, missing = ("access_key_id", "secret_access_key")[:: 1 if self.access_key_id else -1]
            raise ValueError(f"{given} is set without {missing}; set {missing}_file too")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token is set without access_key_id; set access_key_id_file too")
        if self.anonymous and self.access_key_id is not None:
            raise ValueError("anonymous is set, and access_key_id too; keep one of them")
        return self


class FetchSettings(Section):
    """Which references to logs are followed. By default none."""

    allow: list[str] = Field(default_factory=list, description="Hosts that logs may be fetched from.")
    schemes: list[Literal["https", "http", "file", "s3"]] = Field(
        ["https"], description="Schemes that may be used; s3 needs the extra faultstream[s3]."
    )
    roots: list[Path] = Field(default_factory=list, description="Folders that file: references may lie in.")
    private: bool = Field(False, description="Whether an allowed host may resolve to a private or loopback address.")
    s3: S3Settings | None = Field(None, description="Buckets that s3: references may lie in, and how to read them.")
    max_bytes: int = Field(50_000_000, ge=1, description="Most bytes that are fetched.")
    timeout_s: float = Field(30, gt=0, description="Bound on one fetch.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "s3" in self.schemes and self.s3 is None:
            raise ValueError("schemes lists s3, but no bucket is named; set s3.buckets")
        if self.s3 is not None and "s3" not in self.schemes:
            raise ValueError("s3 is set, but schemes does not list it; add s3 to schemes")
        return self
