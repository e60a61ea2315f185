"""Apache Kafka with TLS, SASL and ACLs; certificates, keys and passwords are made when it starts.

Three listeners for clients: SASL_SSL (PLAIN, SCRAM, OAUTHBEARER), SSL with client certificates, SASL_PLAINTEXT. A
fourth in plain text is for the tests themselves, whom everything is allowed there; nothing is allowed to others but
what `grant` gives them.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tools.servers import kafka
from tools.servers.process import LOOPBACK, free_port

USERS = tuple(f"user{number}" for number in range(12))
"""Known to PLAIN; the first and the last also to SCRAM. None may do anything at first."""

CERTIFIED = "app-of-the-tests"
"""Whom the client's certificate names."""

AUDIENCE = "kafka-of-the-tests"
MODULES = "org.apache.kafka.common.security"


class Resource(IntEnum):
    """What a right is about, as the protocol numbers it."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What may be done, as the protocol numbers it."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    IDEMPOTENT_WRITE = 12


LITERAL, PREFIXED, ALLOW = 3, 4, 3
CLUSTER = "kafka-cluster"


@dataclass
class Issuer:
    """A token endpoint with its signing key; the broker knows the public half."""

    client_id: str = "faultstream-client"
    client_secret: str = field(default_factory=secrets.token_urlsafe)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    life_s: float = 600
    asked: int = 0

    def jwks(self) -> str:
        """The public key, as the broker reads it."""
        numbers = self.key.public_key().public_numbers()
        n, e = (_base64(value.to_bytes((value.bit_length() + 7) // 8)) for value in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e}]})

    def token(self, subject: str) -> str:
        """A signed token."""
        now = time.time()
        claims = {"sub": subject, "aud": AUDIENCE, "iat": int(now), "exp": int(now + self.life_s), "scope": "kafka"}
        header = {"alg": "RS256", "typ": "JWT", "kid": "one"}
        signed = b".".join(_base64(json.dumps(part).encode()).encode() for part in (header, claims))
        signature = self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return f"{signed.decode()}.{_base64(signature)}"

    async def answer(self, request: web.Request) -> web.Response:
        """The endpoint: client credentials for a token."""
        self.asked += 1
        form = await request.post()
        given = request.headers.get("Authorization", "")
        known = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if given != f"Basic {known}":
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "kafka":
            return web.json_response({"error": "invalid_request"}, status=400)
        return web.json_response(
            {"access_token": self.token(self.client_id), "token_type": "Bearer", "expires_in": self.life_s}
        )


class SecureKafka(kafka.Kafka):
    """The broker; `address` is the plain listener, where all is allowed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.passwords = {user: secrets.token_urlsafe() for user in USERS}
        self.issuer = Issuer()
        self.authority = trustme.CA()
        self.client = self.authority.issue_cert("app@example.com", common_name=CERTIFIED)
        self.cafile = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.cafile)
        (folder / "jwks.json").write_text(self.issuer.jwks())
        plain = free_port()
        ports = {name: free_port() for name in ("sasl", "mtls", "clear")}
        self.sasl = f"localhost:{ports['sasl']}"
        self.sasl_by_number = f"{LOOPBACK}:{ports['sasl']}"
        self.mtls = f"localhost:{ports['mtls']}"
        self.clear = f"localhost:{ports['clear']}"
        jwks = (folder / "jwks.json").as_uri()
        users = [
            f"SCRAM-SHA-{bits}=[name={user},password={self.passwords[user]}]"
            for bits in (256, 512)
            for user in (USERS[0], USERS[-1])
        ]
        settings = self._listeners(plain, ports) | self._tls(folder) | self._sasl(jwks) | AUTHORIZER
        java = [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks}"]
        super().__init__(folder, plain, settings, heap="192m", java=java, users=users)

    def _listeners(self, plain: int, ports: dict[str, int]) -> dict[str, str]:
        names = {"SASL": ports["sasl"], "MTLS": ports["mtls"], "CLEAR": ports["clear"]}
        own = f"PLAINTEXT://{LOOPBACK}:{plain}"
        ours = ",".join(f"{name}://localhost:{port}" for name, port in names.items())
        return {
            "listeners": f"{own},CONTROLLER://{LOOPBACK}:{{controller}},"
            + ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in names.items()),
            "advertised.listeners": f"{own},{ours}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASL:SASL_SSL,MTLS:SSL,CLEAR:SASL_PLAINTEXT",
        }

    def _tls(self, folder: Path) -> dict[str, str]:
        server = self.authority.issue_cert("localhost")
        key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        keystore = folder / "server.pem"
        keystore.write_bytes(key + b"".join(part.bytes() for part in server.cert_chain_pems))
        made = {"listener.name.mtls.ssl.client.auth": "required"}
        for listener in ("sasl", "mtls"):
            begin = f"listener.name.{listener}.ssl"
            made |= {f"{begin}.keystore.type": "PEM", f"{begin}.keystore.location": str(keystore)}
            made |= {f"{begin}.truststore.type": "PEM", f"{begin}.truststore.location": str(self.cafile)}
        # The authority of the tests adds fields of its own to a subject: its name alone is who we are.
        return made | {"ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT"}

    def _sasl(self, jwks: str) -> dict[str, str]:
        known = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        plain = f"{MODULES}.plain.PlainLoginModule required {known};"
        scram = f"{MODULES}.scram.ScramLoginModule required;"
        oauth = f"{MODULES}.oauthbearer"
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.clear.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.clear.plain.sasl.jaas.config": plain,
            "listener.name.clear.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl.plain.sasl.jaas.config": plain,
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl.oauthbearer.sasl.jaas.config": f"{oauth}.OAuthBearerLoginModule required;",
            "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class": (
                f"{oauth}.OAuthBearerValidatorCallbackHandler"
            ),
            "listener.name.sasl.sasl.oauthbearer.jwks.endpoint.url": jwks,
            "listener.name.sasl.sasl.oauthbearer.expected.audience": AUDIENCE,
        }

    async def topics(self, *names: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """Creates topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config or {}) for name in names])
        finally:
            await admin.close()

    async def grant(
        self, principal: str, resource: Resource, name: str, *operations: Operation, prefixed: bool = False
    ) -> None:
        """Allows a principal (without `User:`) to do something."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        pattern = PREFIXED if prefixed else LITERAL
        try:
            for operation in operations:
                request = CreateAclsRequest(resource, name, pattern, f"User:{principal}", "*", operation, ALLOW)
                answer: Any = await admin._send_to_controller(request)
                assert [each[0] for each in answer.creation_responses] == [0], answer
        finally:
            await admin.close()


AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "auto.create.topics.enable": "true",
}


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
