"""Clients of librdkafka (confluent-kafka 2), which carry records: how they are made, and their errors in our words.

Both kinds of client are made of the same settings: see `processor.cluster.client.KafkaClient`. librdkafka keeps the
credentials that a client was made with for as long as it lives, so each user makes a new client where `version` has
changed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka import errors
from confluent_kafka import Consumer, KafkaError, KafkaException

from processor.cluster.client import KafkaClient
from processor.cluster.security import Security
from processor.cluster.tokens import TokenProvider

log = structlog.get_logger(__name__)

RENEW_S: Final = 5.0
"""How often users of clients look whether the credentials have changed."""

QUIET_S: Final = 30.0
"""How long an error of a kind is not told again: without a broker librdkafka meets one many times a second."""

_LOGGER: Final = logging.getLogger("kafka.librdkafka")
_NOTICE: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001


class Troubles:
    """What a client of librdkafka meets on its connections: told now and then, and kept while it lasts.

    Called from whichever thread serves the client.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._told: dict[int, float] = {}
        self.refused: str | None = None
        """Why we are refused, or it can't go on: whoever tells of that sets it to None again."""

    def met(self, error: KafkaError) -> None:
        """Librdkafka's `error_cb`; it goes on by itself."""
        code, now = error.code(), self._clock()
        if code in _NOTICE or error.fatal():
            self.refused = error.str()
        if now - self._told.get(code, -QUIET_S) >= QUIET_S:
            self._told[code] = now
            log.warning("a broker can't be used", action=self._what, code=error.name(), error=error.str())


def options(client: KafkaClient, troubles: Troubles) -> dict[str, Any]:
    """Configuration of every client of librdkafka; secrets are read from their files now."""
    return {
        "bootstrap.servers": client.bootstrap,
        "client.id": client.client_id,
        "socket.timeout.ms": int(client.request_timeout_s * 1000),
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2_000,
        "topic.metadata.refresh.interval.ms": 60_000,
        "log_level": 2,  # what it meets is told by Troubles
        "logger": _LOGGER,
        "error_cb": troubles.met,
        **credentials(client.security),
    }


def credentials(security: Security) -> dict[str, Any]:
    """TLS and SASL as librdkafka takes them."""
    settings = security.settings
    if settings is None or settings.security_protocol == "PLAINTEXT":
        return {}
    made: dict[str, Any] = {"security.protocol": settings.security_protocol.lower()}
    if settings.tls:
        made["ssl.endpoint.identification.algorithm"] = "https" if settings.ssl_check_hostname else "none"
        made["ssl.ca.location"] = str(settings.ssl_cafile or ssl.get_default_verify_paths().cafile or "probe")
        if settings.ssl_certfile:
            made["ssl.certificate.location"] = str(settings.ssl_certfile)
            made["ssl.key.location"] = str(settings.ssl_keyfile or settings.ssl_certfile)
        if settings.ssl_password:
            made["ssl.key.password"] = settings.ssl_password.get_secret_value()
    if settings.sasl:
        made["sasl.mechanism"] = settings.sasl_mechanism
    if security.tokens is not None:
        made["oauth_cb"] = _Tokens(security.tokens)
    elif settings.sasl:
        made |= {"sasl.username": settings.sasl_username, "sasl.password": str(security.password())}
    return made


def version(security: Security) -> object:
    """Another one than before calls for a new client, which shows the new password or certificate. Raises OSError."""
    return credentials(security), security.version()


async def unused(making: asyncio.Future[tuple[Consumer, object]]) -> None:
    """Closes a client that nobody waits for any more, once it is made."""
    with suppress(KafkaException, OSError):
        made, _ = await making
        await asyncio.to_thread(made.close)


class _Tokens:
    """librdkafka's `oauth_cb`: called in a thread of librdkafka's own, which may wait."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    def __call__(self, _config: str) -> tuple[str, float]:
        token = asyncio.run(self._provider.token())
        return token, time.time() + self._provider.left_s

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tokens) and other._provider is self._provider

    def __hash__(self) -> int:
        return hash(self._provider)


def translated(error: KafkaError | KafkaException | OSError, what: str = "") -> errors.KafkaError:
    """The same error of the other client library, which the rest of Faultstream knows; `what` is a topic, say.

    An error of a broker has the same number everywhere; one of librdkafka's own has its text alone.
    """
    cause = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(cause, KafkaError):
        return errors.KafkaError(str(cause))
    if cause.code() in _OWN:
        return _OWN[cause.code()](cause.str())
    if cause.code() > 0:
        kind = errors.for_code(cause.code())
        return kind(what or cause.str()) if kind is not errors.UnknownError else errors.UnknownError(cause.str())
    return errors.KafkaError(cause.str())


_OWN: Final[dict[int, type[errors.KafkaError]]] = {
    KafkaError._BAD_MSG: errors.CorruptRecordException,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT: errors.KafkaTimeoutError,  # noqa: SLF001
    KafkaError._TIMED_OUT: errors.KafkaTimeoutError,  # noqa: SLF001
    KafkaError._TRANSPORT: errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC: errors.UnknownTopicOrPartitionError,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: errors.UnknownTopicOrPartitionError,  # noqa: SLF001
}

GRAVE: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    }
)
"""Errors of a partition that is read which nothing but somebody's help ends. Of others librdkafka goes on by itself."""
