"""s3: logs in buckets that are allowed, of Amazon S3 or what speaks like it (MinIO, Ceph, …).

The library finds credentials and signs an address with them; the address is downloaded as any other one is. What a
service answers, and by which code: Amazon S3 API Reference, "Error responses".
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from processor.errors import ConfigError, Rejected, Retryable
from processor.settings.fetch import FetchSettings, S3Settings
from processor.settings.section import read_secret
from processor.stages.fetch.download import Downloads, trouble
from processor.stages.fetch.opener import Log, not_allowed

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store
    from pydantic import SecretStr

_VALID: Final = timedelta(minutes=15)
"""How long a signed address holds: what services allow clocks to differ."""
_FRESH: Final = timedelta(minutes=6)
"""How long credentials from files are said to hold. The library asks anew five minutes before: once a minute."""
_ERROR_BYTES: Final = 4096
_CODE: Final = re.compile(rb"<Code>(\w{1,64})</Code>")
_CREDENTIALS_AT_FAULT: Final = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "InvalidTokenId",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_CLOCKS_DIFFER: Final = re.compile(rb"Request has expired|not valid yet")


class S3:
    """Opens objects."""

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        try:
            import obstore
        except ImportError as error:
            raise ConfigError(
                "fetch.schemes lists s3, which needs the package obstore: pip install 'faultstream[s3]'"
            ) from error
        self._sign = obstore.sign
        self._settings = s3
        self._stores: dict[str, S3Store] = {}
        self._downloads = Downloads(settings, self._refusal, tls=_trusting(s3.cafile))

    async def open(self, reference: str) -> Log:
        """The object, if its bucket is allowed. The key is taken as it is: nothing in it is decoded."""
        bucket, _, key = reference.removeprefix("s3://").partition("/")
        if bucket not in self._settings.buckets:
            raise not_allowed(f"the bucket of {reference}", "fetch.s3.buckets", self._settings.buckets)
        if not key or key != key.strip("/"):  # the library would leave these slashes out
            raise _unusable(reference)
        return await self._downloads.get(URL(await self._address(bucket, key), encoded=True), reference)

    async def _address(self, bucket: str, key: str) -> str:
        from obstore.exceptions import BaseError

        if bucket not in self._stores:
            self._stores[bucket] = _store(self._settings, bucket)
        try:
            # In a thread of Python's: the library's own would touch an interpreter that may be ending, and abort it.
            signed = await asyncio.to_thread(self._sign, self._stores[bucket], "GET", key, _VALID)
        except TypeError as error:
            raise _unusable(f"s3://{bucket}/{key}") from error
        except BaseError as error:
            # Its text may hold what the provider answered: the kind has to do.
            why = f"no credentials for the bucket {bucket} ({type(error).__name__}); see {_setting(self._settings)}"
            raise Retryable(why, shared=False) from error
        return signed.partition("?")[0] if self._settings.anonymous else signed

    async def _refusal(self, response: aiohttp.ClientResponse, name: str) -> Rejected | Retryable:
        if wait := trouble(response.status, name):
            return wait
        try:
            told = await response.content.readexactly(_ERROR_BYTES)
        except asyncio.IncompleteReadError as error:
            told = error.partial
        found = _CODE.search(told)
        code = found[1].decode() if found else ""
        answer = f"{name} answers {response.status}{code and f' {code}'}"
        if code in _CREDENTIALS_AT_FAULT or response.status == 401 or _CLOCKS_DIFFER.search(told):
            what = f"see {_setting(self._settings)}, and this machine's clock"
            return Retryable(f"{answer}: the credentials are refused; {what}", shared=False)
        bucket = name.removeprefix("s3://").partition("/")[0]
        if response.status == 403:
            remedy = f"the bucket {bucket} has to let the principal of {_setting(self._settings)} read it"
        elif response.status < 400 or code == "NoSuchBucket" or "Authorization" in code:
            remedy = f"the bucket {bucket} is not there: see fetch.s3.region and fetch.s3.endpoint"
        else:
            return Rejected("reference_failed", answer)
        return Rejected("reference_failed", f"{answer}: {remedy}")

    async def close(self) -> None:
        """Closes the connections."""
        await self._downloads.close()


def _store(s3: S3Settings, bucket: str) -> S3Store:
    """What signs for a bucket. What the settings leave open, the library takes from AWS_… in the environment."""
    from obstore.store import S3Store

    config: dict[str, Any] = {"virtual_hosted_style_request": not s3.path_style}
    if s3.region is not None:
        config["region"] = s3.region
    if s3.endpoint is not None:
        scheme, _, host = s3.endpoint.partition("://")
        config["endpoint"] = s3.endpoint if s3.path_style else f"{scheme}://{bucket}.{host}"
        config["aws_endpoint_url_s3"] = config["endpoint"]  # else the environment's would win
    provider = _given(s3) if s3.access_key_id is not None else _nobody if s3.anonymous else None
    # Whoever waits for us tries again: the library need not.
    return S3Store(bucket, credential_provider=provider, retry_config={"max_retries": 0}, **config)


def _given(s3: S3Settings) -> Callable[[], S3Credential]:
    """The settings' credentials, from their files as they are by then: they may be replaced while we run."""

    def now(name: str, value: SecretStr | None, file: Path | None) -> str | None:
        if file is not None:
            return read_secret(file, f"fetch.s3.{name}_file")
        return value.get_secret_value() if value is not None else None

    def credentials() -> S3Credential:
        return {
            "access_key_id": now("access_key_id", s3.access_key_id, s3.access_key_id_file) or "",
            "secret_access_key": now("secret_access_key", s3.secret_access_key, s3.secret_access_key_file) or "",
            "token": now("session_token", s3.session_token, s3.session_token_file),
            "expires_at": datetime.now(UTC) + _FRESH,
        }

    return credentials


def _nobody() -> S3Credential:
    """Signs an address of which the signature is taken off again."""
    return {"access_key_id": "nobody", "secret_access_key": "nothing", "expires_at": None}


def _setting(s3: S3Settings) -> str:
    """Where it is said who asks."""
    if s3.anonymous:
        return "fetch.s3.anonymous"
    if s3.access_key_id is not None:
        return f"fetch.s3.access_key_id{'_file' if s3.access_key_id_file else ''}"
    return "the environment's AWS_… or the machine's role (fetch.s3.access_key_id is not set)"


def _unusable(reference: str) -> Rejected:
    return Rejected(
        "reference_failed",
        f"{reference} can't be fetched: a key has no empty part, no part . or .., and no control characters",
    )


def _trusting(cafile: Path | None) -> ssl.SSLContext | None:
    if cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise ConfigError(f"fetch.s3.cafile: can't read {cafile}: {error.strerror or error}") from error
