"""vLLM's routes for adapters: load, unload, list; and what its refusals mean.

https://docs.vllm.ai/en/latest/features/lora.html. Without VLLM_ALLOW_RUNTIME_LORA_UPDATING the routes are not there.
Loading a name twice is a 400, a path that isn't there a 404 that names it, whatever else is wrong a 500 with the cause.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from processor.errors import Retryable
from processor.settings import ModelSettings

_SHOWN: Final = 400


class RefusedError(Retryable):
    """The server can't serve this adapter: a cause of its own, not of the server's being away."""

    def __init__(self, message: str) -> None:
        super().__init__(message, shared=False)


class Routes:
    """Speaks to any replica of a tier. `tier` names the settings in errors. Call `stop` at the end."""

    def __init__(self, settings: ModelSettings, tier: str) -> None:
        self._where = f"models.{tier}"
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=settings.connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def load(self, url: str, served: str, path: str, local: Path) -> bool:
        """Has the server load an adapter from `path`, which is `local` here; false if it had it already.

        Raises RefusedError with the file and the setting that are wrong, Retryable where the server is away.
        """
        status, said = await self._post(url, "load_lora_adapter", {"lora_name": served, "lora_path": path})
        if status == 200:
            return True
        if status == 400 and "already been loaded" in said:
            return False
        raise self._refused(url, status, said, served, path, local)

    async def unload(self, url: str, served: str) -> bool:
        """Has the server forget an adapter; false if it did not have it. Raises Retryable where it is away."""
        status, _ = await self._post(url, "unload_lora_adapter", {"lora_name": served})
        return status == 200

    async def listed(self, url: str) -> set[str]:
        """The names that the server lists; none where it lists in a way of its own. Raises Retryable."""
        status, said = await self._send("GET", url, "models", None)
        try:
            return {str(each["id"]) for each in orjson.loads(said)["data"]} if status == 200 else set()
        except (ValueError, KeyError, TypeError):
            return set()

    def _refused(self, url: str, status: int, said: str, served: str, path: str, local: Path) -> Retryable:
        """What the server's answer to a load means."""
        told = f"{url} ({status}: {_message(said)})"
        setting = f"{self._where}.adapters"
        if status in (401, 403):
            return RefusedError(f"{self._where}.api_key: refused by {told}")
        if status in (408, 429, 503):
            return Retryable(f"{served} can't be loaded now by {told}")
        if status in (404, 405) and path not in said and served not in said:
            return RefusedError(
                f"{served}: {url} loads no adapters while it runs ({status}); start vLLM with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"
            )
        if status == 404:
            return RefusedError(
                f"{local}: the server sees nothing at {path}: mount the store there, or set {setting}.server_path "
                f"to where it is mounted; {told}"
            )
        if "max_lora_rank" in said:
            return RefusedError(
                f"{local / 'adapter_config.json'}: the rank is over the server's --max-lora-rank; start it with a "
                f"larger one ({setting}.max_rank has lint say so beforehand): {told}"
            )
        return RefusedError(f"{local}: the server can't load it; is it made for {self._where}.base_model? {told}")

    async def _post(self, url: str, route: str, body: dict[str, Any]) -> tuple[int, str]:
        return await self._send("POST", url, route, orjson.dumps(body))

    async def _send(self, method: str, url: str, route: str, body: bytes | None) -> tuple[int, str]:
        """Status and body. Raises Retryable where no whole answer came back."""
        if self._session is None:
            headers = {"Content-Type": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=headers)
        try:
            async with self._session.request(method, f"{url}/{route}", data=body, allow_redirects=False) as response:
                text = (await response.read()).decode("utf-8", "replace")
                return response.status, text.replace(self._key, "[api key]") if self._key else text
        except TimeoutError as error:
            raise Retryable(f"{url} did not answer /{route} in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Retryable(f"{url}/{route}: {error or type(error).__name__}") from error


def _message(said: str) -> str:
    """The start of an answer's message as one line."""
    try:
        error: Any = orjson.loads(said)
        error = error.get("error", error)
        said = str(error.get("message", said) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        pass
    return " ".join(said.split())[:_SHOWN] or "an empty answer"
