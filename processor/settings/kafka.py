"""How to reach the Kafka cluster, and how to prove who we are: TLS and SASL under their customary names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from processor.settings.section import Address, Section, from_file

Assignor = Literal["range", "roundrobin", "sticky"]
Carrier = Literal["aiokafka", "librdkafka"]
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
OAUTH = "OAUTHBEARER"


class OAuthSettings(Section):
    """The token endpoint for sasl_mechanism OAUTHBEARER (client credentials, RFC 6749 section 4.4)."""

    token_url: Address = Field(description="Address of the token endpoint.")
    client_id: str = Field(min_length=1, description="Client id.")
    client_secret: SecretStr | None = Field(None, description="Client secret.")
    client_secret_file: Path | None = Field(
        None, description="File that holds the client secret; read again for each new token."
    )
    scope: str | None = Field(None, description="Scope to ask for, if the endpoint wants one.")
    cafile: Path | None = Field(
        None, description="PEM file of the authorities that the endpoint's certificate is checked against."
    )
    timeout_s: float = Field(10, gt=0, description="Bound on one request for a token.")

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, values: Any) -> Any:
        _one_of_two(values, "client_secret")
        return from_file(values, "client_secret")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.client_secret is None:
            raise ValueError("client_secret is missing; set client_secret_file")
        return self


class KafkaSettings(Section):
    """The Kafka cluster."""

    bootstrap: str = Field("127.0.0.1:9092", description="Brokers to start from, host:port, comma-separated.")
    client: Carrier = Field(
        "aiokafka",
        description="Client library that fetches records, and writes large ones at least once: aiokafka, which does "
        "everything else in every case, or librdkafka, which is faster with large ones and younger here.",
    )
    group: str | None = Field(None, description="Consumer group of the line; by default <prefix>.line.")
    create_topics: bool = Field(False, description="Create missing topics at start; leave it off in production.")
    partitions: int = Field(4, ge=1, description="Partitions of topics that are created.")
    replication: int = Field(-1, description="Replication factor of topics that are created; -1: the broker's.")
    assignor: Assignor = Field(
        "roundrobin", description="How partitions are shared out among replicas; all of them have to agree."
    )
    group_instance_id: str | None = Field(
        None,
        description="Makes a static member: a restart within session_timeout_s moves no partition. Set it only where "
        "it is unique, such as the name of a StatefulSet's pod; two live replicas with one id take the partitions from "
        "each other again and again.",
    )
    session_timeout_s: float = Field(30, gt=0, description="Silence after which the group drops a member.")
    request_timeout_s: float = Field(30, gt=0, description="Bound on each wait for a broker.")
    unready_after_s: float = Field(
        30, gt=0, description="How long no broker may have answered before /readyz says so; it is looked every 5 s."
    )
    producers: int = Field(
        100,
        ge=1,
        description="Most transactional producers open at once, one for each partition that is read; of more "
        "partitions those that were idle longest go without until there is something to deliver.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="Codec of what is written; what is read may be compressed with any of them."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="What the brokers' listener speaks."
    )
    ssl_cafile: Path | None = Field(
        None,
        description="PEM file of the authorities that brokers' certificates are checked against; "
        "by default the system's.",
    )
    ssl_certfile: Path | None = Field(
        None, description="PEM file of the client's certificate and its chain, for mutual TLS."
    )
    ssl_keyfile: Path | None = Field(
        None, description="PEM file of the certificate's key, if it is not in ssl_certfile."
    )
    ssl_password: SecretStr | None = Field(None, description="Password of the key, if it is encrypted.")
    ssl_password_file: Path | None = Field(None, description="File that holds the password of the key.")
    ssl_check_hostname: bool = Field(
        True, description="Whether a broker's certificate must name the host that was asked for."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="How to authenticate, for SASL_SSL and SASL_PLAINTEXT."
    )
    sasl_username: str | None = Field(None, description="User, for PLAIN and SCRAM.")
    sasl_password: SecretStr | None = Field(None, description="Password, for PLAIN and SCRAM.")
    sasl_password_file: Path | None = Field(None, description="File that holds the password; read for each connection.")
    oauth: OAuthSettings | None = Field(None, description="Where tokens come from, for OAUTHBEARER.")

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, values: Any) -> Any:
        for name in ("sasl_password", "ssl_password"):
            _one_of_two(values, name)
            values = from_file(values, name)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*self._tls_faults(), *self._sasl_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def sasl(self) -> bool:
        """Whether clients authenticate by SASL."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    def _tls_faults(self) -> Iterator[str]:
        given = [name for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password") if getattr(self, name)]
        if given and not self.tls:
            remedy = "SASL_SSL" if self.sasl else "SSL"
            yield f"{given[0]} is set, but security_protocol {self.security_protocol} has no TLS; set it to {remedy}"
        if self.tls and not self.ssl_certfile:
            for name in ("ssl_keyfile", "ssl_password"):
                if getattr(self, name):
                    yield f"{name} is set without a certificate; set ssl_certfile too"
                    return

    def _sasl_faults(self) -> Iterator[str]:
        given = [n for n in ("sasl_mechanism", "sasl_username", "sasl_password", "oauth") if getattr(self, n)]
        if given and not self.sasl:
            remedy = "SASL_SSL" if self.security_protocol != "PLAINTEXT" else "SASL_SSL (or SASL_PLAINTEXT)"
            yield f"{given[0]} is set, but security_protocol {self.security_protocol} has no SASL; set it to {remedy}"
        elif self.sasl and self.sasl_mechanism is None:
            known = ", ".join((*PASSWORD_MECHANISMS, OAUTH))
            yield f"sasl_mechanism is missing; security_protocol {self.security_protocol} needs one of {known}"
        elif self.sasl_mechanism in PASSWORD_MECHANISMS:
            yield from self._password_faults()
        elif self.sasl_mechanism == OAUTH:
            yield from self._oauth_faults()

    def _password_faults(self) -> Iterator[str]:
        mechanism = self.sasl_mechanism
        if not self.sasl_username:
            yield f"sasl_username is missing; sasl_mechanism {mechanism} needs it"
        if self.sasl_password is None:
            yield f"sasl_password is missing; sasl_mechanism {mechanism} needs it: set sasl_password_file"
        if self.oauth is not None:
            yield f"oauth is set, but sasl_mechanism is {mechanism}; set it to OAUTHBEARER, or take oauth out"

    def _oauth_faults(self) -> Iterator[str]:
        if self.oauth is None:
            yield "oauth is missing; sasl_mechanism OAUTHBEARER needs oauth.token_url, client_id and client_secret_file"
        for name in ("sasl_username", "sasl_password"):
            if getattr(self, name):
                yield f"{name} is set, but sasl_mechanism is OAUTHBEARER; it takes oauth.client_id and its secret"


def _one_of_two(values: Any, name: str) -> None:
    """A secret is given as itself or as a file, not both: it would be unclear which one counts."""
    if isinstance(values, dict) and values.get(name) and values.get(f"{name}_file"):
        raise ValueError(f"{name} and {name}_file are both set; keep {name}_file alone")
