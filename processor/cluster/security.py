"""TLS and SASL as the client library takes them, made of the settings."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import structlog
from aiokafka.conn import AIOKafkaConnection, create_conn

from processor.cluster import starting
from processor.cluster.tokens import TokenProvider
from processor.errors import ConfigError
from processor.settings.kafka import OAUTH, KafkaSettings
from processor.settings.section import read_secret

log = structlog.get_logger(__name__)


class TlsContext(ssl.SSLContext):
    """A context that remembers whose certificate it shows, for errors to say so, and shows a new one when there is."""

    certfile: Path | None = None
    _load: Callable[[], None] | None = None
    _loaded: tuple[int, ...] = ()

    def show(self, certfile: Path, keyfile: Path | None, password: str) -> None:
        """Loads the certificate that is shown to the brokers. Raises ssl.SSLError, OSError."""

        def load() -> None:
            times = written(certfile, keyfile)
            if times != self._loaded:
                # Without a password given, an encrypted key would have OpenSSL ask for one on the terminal.
                self.load_cert_chain(certfile, keyfile, lambda: password)
                self._loaded = times

        load()
        self.certfile, self._load = certfile, load

    def renew(self) -> None:
        """Loads it again if its files have changed; one that is of no use yet is tried again the next time."""
        if self._load is not None:
            try:
                self._load()
            except (ssl.SSLError, OSError) as error:
                log.warning("the new certificate for Kafka is of no use", action="secret", error=str(error))


def written(certfile: Path, keyfile: Path | None) -> tuple[int, ...]:
    """When a certificate and its key were written, in nanoseconds. Raises OSError."""
    return tuple(file.stat().st_mtime_ns for file in (certfile, keyfile or certfile))


class FilePassword(str):
    """A password with the file that it was read from."""

    __slots__ = ("file",)
    file: Path

    @classmethod
    def of(cls, file: Path, otherwise: str) -> Self:
        """The one in the file now, or `otherwise` if that can't be read."""
        try:
            made = cls(read_secret(file, "kafka.sasl_password_file"))
        except ValueError as error:  # the last one that was read may still be good
            log.warning("the old password of Kafka is used", action="secret", error=str(error))
            made = cls(otherwise)
        made.file = file
        return made


async def connect(host: str, port: int, **options: Any) -> AIOKafkaConnection:
    """A connection of the client library, with the password and the certificate that lie in their files now.

    It stands in the library's place (see `KafkaClient`), which would use those that a client was made with for as
    long as it lives.
    """
    password, context = options.get("sasl_plain_password"), options.get("ssl_context")
    if isinstance(password, FilePassword):
        options["sasl_plain_password"] = FilePassword.of(password.file, password)
    if isinstance(context, TlsContext):
        context.renew()
    connection = await create_conn(host, port, **options)
    if options.get("on_close") is None:  # a client's first
        starting.made(connection)
    return connection


class Security:
    """Who we are for the brokers. Without settings: nobody, in plain text."""

    def __init__(self, settings: KafkaSettings | None = None, context: TlsContext | None = None) -> None:
        self.settings = settings
        self._context = context
        oauth = settings.oauth if settings and settings.sasl_mechanism == OAUTH else None
        self.tokens = TokenProvider(oauth, authorities(oauth.cafile, "oauth.cafile")) if oauth else None

    @classmethod
    def of(cls, settings: KafkaSettings) -> Self:
        """What the settings say. Raises ConfigError for a file that can't be read, or is not what it should be."""
        if settings.security_protocol == "SASL_PLAINTEXT" and settings.sasl_mechanism in {"PLAIN", OAUTH}:
            log.warning("credentials are sent to Kafka in the clear; use security_protocol SASL_SSL", action="start")
        if settings.oauth and _clear(settings.oauth.token_url):
            log.warning("the client secret is sent in the clear; kafka.oauth.token_url has no TLS", action="start")
        return cls(settings, _context(settings) if settings.tls else None)

    def arguments(self) -> dict[str, Any]:
        """Arguments of an aiokafka client; the password is read from its file now."""
        settings = self.settings
        if settings is None or settings.security_protocol == "PLAINTEXT":
            return {}
        made: dict[str, Any] = {"security_protocol": settings.security_protocol}
        if self._context is not None:
            made["ssl_context"] = self._context
        if settings.sasl:
            made["sasl_mechanism"] = settings.sasl_mechanism
        if self.tokens is not None:
            made["sasl_oauth_token_provider"] = self.tokens
        elif settings.sasl:
            made["sasl_plain_username"] = settings.sasl_username
            made["sasl_plain_password"] = self.password()
        return made

    def password(self) -> str:
        """The password for SASL, read from its file now."""
        settings = self.settings
        if settings is None or settings.sasl_password is None:
            return ""
        password = settings.sasl_password.get_secret_value()
        return FilePassword.of(settings.sasl_password_file, password) if settings.sasl_password_file else password

    def version(self) -> tuple[int, ...]:
        """Changes with the certificate that is shown."""
        settings = self.settings
        if settings is None or settings.ssl_certfile is None:
            return ()
        return written(settings.ssl_certfile, settings.ssl_keyfile)


def principal(arguments: Mapping[str, Any]) -> str:
    """Who a client with these arguments is for the brokers, and which setting says so; never a secret."""
    provider, context = arguments.get("sasl_oauth_token_provider"), arguments.get("ssl_context")
    if isinstance(provider, TokenProvider):
        return f"client {provider.client_id} (kafka.oauth.client_id)"
    if name := arguments.get("sasl_plain_username"):
        return f"user {name} (kafka.sasl_username)"
    if isinstance(context, TlsContext) and context.certfile:
        return f"the owner of the certificate {context.certfile} (kafka.ssl_certfile)"
    return f"an anonymous client (kafka.security_protocol {arguments.get('security_protocol', 'PLAINTEXT')})"


def authorities(cafile: Path | None, key: str) -> TlsContext:
    """A context that trusts the authorities in `cafile`, else the system's. Raises ConfigError that names `key`."""
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    if cafile is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile)
    except ssl.SSLError as error:
        raise ConfigError(f"kafka.{key}: {cafile} holds no certificate in PEM") from error
    except OSError as error:
        raise ConfigError(f"kafka.{key}: can't read {cafile}: {error.strerror}") from error
    return context


def _context(settings: KafkaSettings) -> TlsContext:
    context = authorities(settings.ssl_cafile, "ssl_cafile")
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_certfile:
        _show(context, settings, settings.ssl_certfile)
    return context


def _show(context: TlsContext, settings: KafkaSettings, certfile: Path) -> None:
    """Loads the certificate that is shown to the brokers."""
    password = settings.ssl_password.get_secret_value() if settings.ssl_password else ""
    key = settings.ssl_keyfile or certfile
    named = "kafka.ssl_keyfile" if settings.ssl_keyfile else "kafka.ssl_certfile"
    for path, name in ((certfile, "kafka.ssl_certfile"), (key, named)):
        _readable(path, name)
    try:
        context.show(certfile, settings.ssl_keyfile, password)
    except ssl.SSLError as error:
        raise ConfigError(_key_fault(error, certfile, key, named, bool(password))) from None


def _readable(path: Path, name: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: can't read {path}: {error.strerror}") from error


def _key_fault(error: ssl.SSLError, certfile: Path, key: Path, named: str, password: bool) -> str:
    reason = error.reason or ""
    if "MISMATCH" in reason:
        return f"{named}: the key in {key} is not that of the certificate in {certfile} (kafka.ssl_certfile)"
    if b"ENCRYPTED" in key.read_bytes():
        remedy = "does not open it" if password else "is missing; set kafka.ssl_password_file"
        return f"{named}: the key in {key} is encrypted, and kafka.ssl_password {remedy}"
    if b"BEGIN CERTIFICATE" not in certfile.read_bytes():
        return f"kafka.ssl_certfile: {certfile} holds no certificate in PEM"
    return f"{named}: {key} holds no private key in PEM; set kafka.ssl_keyfile"


def _clear(url: str) -> bool:
    """Whether an address leaves this machine without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}
