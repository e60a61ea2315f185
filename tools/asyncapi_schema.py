"""AsyncAPI's own JSON Schema, for the test that checks our document by it: fetched with npm, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path

from tools import bootstrap
from tools.bootstrap import SetupError, say

PACKAGE = "@asyncapi/specs@6.11.1"
MEMBER = "package/schemas/3.0.0.json"
SHA256 = "d4571a420e6ffb7fcc7066c95a6db1202f299a3c51daa103d0706bf30f95e626"


def obstacle() -> str | None:
    """Why the schema can't be had here, or None if it can."""
    if path().exists() or shutil.which("npm"):
        return None
    return "AsyncAPI's schema is fetched with npm, which isn't here"


def path() -> Path:
    """Where it lies, fetched or not."""
    return bootstrap.cache() / "asyncapi" / f"3.0.0-{SHA256[:12]}.json"


def fetch() -> Path:
    """Puts the schema into the cache, once. Raises SetupError."""
    target = path()
    with bootstrap.locked(bootstrap.cache() / "locks" / "asyncapi.lock"):
        if not target.exists():
            say("asyncapi", f"fetching {PACKAGE} with npm, 0.4 MB")
            with tempfile.TemporaryDirectory() as folder:
                words = ["npm", "pack", "--silent", f"--pack-destination={folder}", PACKAGE]
                bootstrap.command("asyncapi", words, remedy=bootstrap.NETWORK)
                [archive] = Path(folder).glob("*.tgz")
                with tarfile.open(archive) as packed:
                    member = packed.extractfile(MEMBER)
                    found = member.read() if member is not None else b""
            if hashlib.sha256(found).hexdigest() != SHA256:
                raise SetupError(f"{PACKAGE} does not hold the {MEMBER} that it held; its hash is another")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(found)
    return target
