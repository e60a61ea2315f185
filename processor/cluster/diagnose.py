"""Why the cluster can't be reached, or doesn't allow something: in words that name the setting to change.

The client library says `Unable to bootstrap` for a wrong password, an unknown authority, a listener without TLS and
a broker that is away alike, and keeps the cause to its log. Here each broker is tried once more, by the library's own
connection, and the error that comes out is told. That is done only after a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster.security import connect, principal
from processor.errors import ConfigError, FaultstreamError, Retryable

PATIENCE_S: Final = 5.0
"""Bound on each try of a broker."""

MOST: Final = 5
"""How many brokers are tried."""

_OURS: Final = ("ssl_context", "security_protocol", "client_id")
_HELLO: Final = struct.pack(">ihhih", 10, 18, 0, 7, -1)
"""Kafka's ApiVersions request, version 0, of a client without a name."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a broker can't be used. `lasting`: waiting does not help, something must be changed."""

    text: str
    lasting: bool = False


async def unreachable(arguments: Mapping[str, Any], error: BaseException) -> FaultstreamError:
    """What to raise where a client with these arguments met `error`.

    ConfigError where waiting does not help (a refused password, an unknown authority), else Retryable.
    """
    if type(error) in _DENIED:
        return ConfigError(explain(error, arguments))
    trouble = await _trouble(dict(arguments))
    where = f"can't reach Kafka at {arguments.get('bootstrap_servers')} (kafka.bootstrap)"
    if trouble is None:
        return Retryable(f"{where}: {explain(error)}")
    return (ConfigError if trouble.lasting else Retryable)(f"{where}: {trouble.text}")


async def waiting(arguments: Mapping[str, Any], error: BaseException) -> Retryable:
    """The same for a daemon that runs: it waits until what is wrong is put right."""
    found = await unreachable(arguments, error)
    return found if isinstance(found, Retryable) else Retryable(str(found))


def explain(error: BaseException, arguments: Mapping[str, Any] | None = None) -> str:
    """An error of the client library in words; one of rights names who lacks which right on what."""
    wanted = _DENIED.get(type(error))
    if wanted is None or arguments is None:
        return str(error) or type(error).__name__
    kind, right, setting = wanted
    told = error.args[0] if error.args else ""
    names = ", ".join(sorted(told)) if isinstance(told, set | frozenset | list | tuple) else str(told)
    what = f"{kind} {names}" if names else f"the {kind}"
    return f"{what} ({setting}): {principal(arguments)} may not use it; grant it {right}"


_DENIED: Final[Mapping[type[BaseException], tuple[str, str, str]]] = {
    errors.TopicAuthorizationFailedError: (
        "topic",
        "Describe, and Read or Write as docs/kafka.md lists",
        "topics.prefix, or a pipeline's source.kafka.topics",
    ),
    errors.GroupAuthorizationFailedError: ("group", "Read on the group", "kafka.group, or topics.prefix"),
    errors.TransactionalIdAuthorizationFailed: ("transactional id", "Write and Describe on it", "topics.prefix"),
    errors.ClusterAuthorizationFailedError: (
        "cluster",
        "IdempotentWrite, or Create where kafka.create_topics is on",
        "kafka.bootstrap",
    ),
}


def denied(error: BaseException | None) -> bool:
    """Whether an error comes of a right that is missing."""
    while error is not None:
        if type(error) in _DENIED:
            return True
        error = error.__cause__
    return False


async def _trouble(arguments: dict[str, Any]) -> Trouble | None:
    """The gravest trouble of the brokers that are tried: those of kafka.bootstrap, then those that they name."""
    hosts = [(host, port) for host, port, _ in collect_hosts(arguments.get("bootstrap_servers", ""))]
    found: list[Trouble] = []
    named: list[tuple[str, int]] = []
    for host, port in hosts[:MOST]:
        met, brokers = await _try(host, port, arguments)
        found += [met] if met else []
        named += [broker for broker in brokers if broker not in hosts and broker not in named]
    for host, port in named[:MOST]:
        met, _ = await _try(host, port, arguments)
        if met:
            found.append(Trouble(f"the cluster names a broker {host}:{port} (its advertised.listeners): {met.text}"))
    return next((each for each in found if each.lasting), found[0] if found else None)


async def _try(host: str, port: int, arguments: dict[str, Any]) -> tuple[Trouble | None, list[tuple[str, int]]]:
    """What is wrong with a broker, or which brokers it names."""
    given = {name: value for name, value in arguments.items() if name in _OURS or "sasl" in name}
    connection: AIOKafkaConnection | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            connection = await connect(host, port, request_timeout_ms=int(PATIENCE_S * 1000), **given)
            answer = await connection.send(MetadataRequest([]))
        return None, [(broker[1], broker[2]) for broker in answer.brokers]
    except (OSError, errors.KafkaError, TimeoutError) as error:
        told = await _told(error, host, port, given, connected=connection is not None)
        return told, []
    finally:
        if connection is not None:
            await asyncio.wait([connection.close()], timeout=1)


async def _told(error: BaseException, host: str, port: int, given: Mapping[str, Any], *, connected: bool) -> Trouble:
    who, at = principal(given), f"{host}:{port}"
    cause = error.__cause__ if isinstance(error, errors.KafkaConnectionError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Trouble(_certificate(cause, host), lasting=True)
    if isinstance(cause, errors.SaslAuthenticationFailed):
        secret = "" if "token_url" in str(cause) else f": check {_secret_of(given)}"
        return Trouble(f"{at} refuses {who}{secret} ({_argument(cause)})", lasting=True)
    if isinstance(cause, errors.UnsupportedSaslMechanismError):
        mechanism = given.get("sasl_mechanism")
        return Trouble(f"{at} has no {mechanism}; set kafka.sasl_mechanism to one that it has", lasting=True)
    if isinstance(cause, errors.IllegalSaslStateError):
        return Trouble(
            f"{at} asks for no SASL; set kafka.security_protocol to {_other(given, sasl=False)}", lasting=True
        )
    if isinstance(cause, socket.gaierror):
        return Trouble(f"the host {host} is not known")
    if isinstance(cause, ConnectionRefusedError):
        return Trouble(f"nobody listens at {at}")
    return await _protocol(cause, host, port, given, connected=connected) or Trouble(f"{at}: {_said(cause)}")


async def _protocol(
    error: BaseException, host: str, port: int, given: Mapping[str, Any], *, connected: bool
) -> Trouble | None:
    """Trouble of a connection that was closed without a word: the listener may speak something else."""
    at, tls = f"{host}:{port}", "ssl_context" in given
    if isinstance(error, ssl.SSLError) and (told := _alert(error, at, given)):
        return told
    if connected and not given.get("sasl_mechanism"):
        return Trouble(
            f"{at} asks for SASL; set kafka.security_protocol to {_other(given, sasl=True)}, and kafka.sasl_mechanism",
            lasting=True,
        )
    if tls and not connected and await _speaks_plain(host, port):
        return Trouble(f"{at} speaks no TLS; set kafka.security_protocol to {_other(given, tls=False)}", lasting=True)
    if not tls and await _speaks_tls(host, port):
        return Trouble(f"{at} speaks TLS; set kafka.security_protocol to {_other(given, tls=True)}", lasting=True)
    return None


def _certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    why = error.verify_message
    if "mismatch" in why.lower():
        return (
            f"the broker's certificate is not for {host} ({why}); name the broker in kafka.bootstrap (and the brokers' "
            "advertised.listeners) as its certificate does, or set kafka.ssl_check_hostname to false"
        )
    if "expired" in why or "not yet valid" in why:
        return f"the certificate of the broker {host} is out of date: {why}"
    return f"the certificate of the broker {host} is not trusted ({why}); name its authority in kafka.ssl_cafile"


def _alert(error: ssl.SSLError, at: str, given: Mapping[str, Any]) -> Trouble | None:
    reason = error.reason or ""
    if "ALERT" not in reason or "VERSION" in reason:
        return None
    wanting = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE")
    if not getattr(given.get("ssl_context"), "certfile", None) and any(each in reason for each in wanting):
        return Trouble(f"{at} asks for a client's certificate; set kafka.ssl_certfile", lasting=True)
    told = reason.lower().replace("_", " ")
    return Trouble(f"{at} refuses {principal(given)}: {told}", lasting=True)


def _secret_of(given: Mapping[str, Any]) -> str:
    mechanism = str(given.get("sasl_mechanism"))
    if mechanism == "OAUTHBEARER":
        return "kafka.oauth and what the brokers accept of a token"
    return f"kafka.sasl_username and kafka.sasl_password, and whether the user exists for {mechanism}"


def _other(given: Mapping[str, Any], *, tls: bool | None = None, sasl: bool | None = None) -> str:
    """The security protocol that differs in one half."""
    now = str(given.get("security_protocol", "PLAINTEXT"))
    tls = now.endswith("SSL") if tls is None else tls
    sasl = now.startswith("SASL") if sasl is None else sasl
    half = "SSL" if tls else "PLAINTEXT"
    return f"SASL_{half}" if sasl else half


def _argument(error: BaseException) -> str:
    """What an error says, without the library's number and name before it."""
    return str(error.args[0]) if error.args and isinstance(error.args[0], str) else _said(error)


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:.0f} s"
    if isinstance(error, asyncio.IncompleteReadError | ConnectionResetError):
        return "the connection was closed"
    return str(error) or type(error).__name__


async def _speaks_plain(host: str, port: int) -> bool:
    """Whether a broker answers there without TLS."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_HELLO)
                answer = await reader.readexactly(8)
            finally:
                await _dropped(writer)
    except (OSError, EOFError, TimeoutError):
        return False
    return answer[4:] == struct.pack(">i", 7)


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether TLS is spoken there; nothing is sent over it, so nothing needs to be trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            await _dropped(writer)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    return True


async def _dropped(writer: asyncio.StreamWriter) -> None:
    """Closes a connection without a farewell."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
