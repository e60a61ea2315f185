"""The job's machine: a throw-away root file system over this one, in name spaces of its own.

An overlay keeps every write (packages installed by apt included) in a scratch folder; the folders of this
machine's owner are hidden, the toolchains appear under the neutral paths of a build container, and the caches
of earlier jobs are bound in. Needs Linux, root, ``unshare`` and overlayfs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.record.fault import Sandbox

STANDARD = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "media", "proc", "run", "sbin", "srv", "sys",
     "usr", "var"}
)  # fmt: skip
"""Top-level folders of this machine that the job's machine shows; all others are its owner's and are hidden."""
HOME = "/home/ci"
CACHES = {
    "npm": "/cache/npm",
    "pip": "/cache/pip",
    "uv": "/cache/uv",
    "m2": f"{HOME}/.m2",
    "cargo": "/usr/local/cargo",
    "go": "/go",
    "go-build": "/cache/go-build",
}
ENVIRONMENT = {
    "CI": "true",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/var/tmp",  # noqa: S108 - the job's own, on its own file system
    "PATH": "/opt/python/bin:/usr/local/rustup/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin"
    ":/usr/bin:/sbin:/bin",
    "LD_LIBRARY_PATH": "/opt/python/lib",  # its own libpython before the system's
    "npm_config_cache": "/cache/npm",
    "npm_config_update_notifier": "false",
    "PIP_CACHE_DIR": "/cache/pip",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "UV_CACHE_DIR": "/cache/uv",
    "UV_PYTHON_DOWNLOADS": "never",
    "CARGO_HOME": "/usr/local/cargo",
    "RUSTUP_HOME": "/usr/local/rustup",
    "GOPATH": "/go",
    "GOCACHE": "/cache/go-build",
    "GOFLAGS": "-buildvcs=false",
    "GOTOOLCHAIN": "local",
    "DEBIAN_FRONTEND": "noninteractive",
}
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "PIP_CERT")
HOSTS = (
    "127.0.0.1 localhost git.acme.example registry.acme.example npm.acme.example docs.acme.example osv.acme.example\n"
)


def owned() -> list[str]:
    """Top-level folders of this machine that are none of the job's business."""
    return sorted(path.name for path in Path("/").iterdir() if path.is_dir() and path.name not in STANDARD)


def _toolchains() -> dict[str, Path]:
    """Where this machine keeps toolchains that build containers keep elsewhere: inside path to outside path."""
    rust = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=False)
    found = {"/opt/python": Path(sys.base_prefix)}
    if rust.returncode == 0:
        found["/usr/local/rustup"] = Path(rust.stdout.strip())
    return found


@dataclass
class Machine:
    """A job's machine under ``scratch``; ``cache`` is kept from one machine to the next."""

    scratch: Path
    cache: Path
    hostname: str

    def __post_init__(self) -> None:
        if os.geteuid() != 0 or sys.platform != "linux" or shutil.which("unshare") is None:
            raise SystemExit("the recorder needs Linux, root and unshare: run it in a container of your own")
        for name in ("up", "wk", "root", "in"):
            (self.scratch / name).mkdir(parents=True, exist_ok=True)
        for name in CACHES:
            (self.cache / name).mkdir(parents=True, exist_ok=True)

    def put(self, name: str, text: str) -> str:
        """Keep ``text`` as a file of the machine and give its path there."""
        path = self.scratch / "in" / name
        path.write_text(text)
        return f"/run/job/{name}"

    def command(self, script: str, sandbox: Sandbox, env: Mapping[str, str]) -> list[str]:
        """The command line that runs ``script`` (a path on the machine) inside ``sandbox``."""
        boot = self.scratch / "in" / f"boot-{Path(script).stem}.sh"
        boot.write_text(self._boot(script, sandbox, {**ENVIRONMENT, **_certificates(), **env}))
        isolate = ["unshare", "-m", "-u", "-i", "-p", "-f", "--kill-child"]
        if not sandbox.net:
            isolate.append("-n")
        return [*isolate, "bash", str(boot)]

    def _boot(self, script: str, sandbox: Sandbox, env: Mapping[str, str]) -> str:
        root = self.scratch / "root"
        lines = [
            "set -e",
            "mount --make-rprivate /",
            f"hostname {self.hostname}",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={self.scratch}/up,workdir={self.scratch}/wk {root}",
            f"mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev; mount --rbind /sys {root}/sys",
            *(f"mount -t tmpfs tmpfs {root}/{name}" for name in owned()),
            f"chmod 1777 {root}/tmp {root}/var/tmp",  # noqa: S108 - of the job's own root
            f"mkdir -p {root}/builds {root}/srv/git {root}/run/job {root}{HOME}",
            f"mount --bind {self.scratch}/in {root}/run/job",
            f"printf '%s' '{HOSTS}' > {root}/etc/hosts",
            f"sed -i 's#:/root:#:{HOME}:#; /^ci:/d' {root}/etc/passwd",
            f"echo 'ci:x:1000:1000::{HOME}:/bin/bash' >> {root}/etc/passwd",
        ]
        for inside, outside in _toolchains().items():
            name = Path(inside).name
            layers = f"lowerdir={outside},upperdir={self.scratch}/up-{name},workdir={self.scratch}/wk-{name}"
            lines.append(f"mkdir -p {root}{inside} {self.scratch}/up-{name} {self.scratch}/wk-{name}")
            lines.append(f"mount -t overlay overlay -o {layers} {root}{inside}")
        lines.append(f"sed -i '1s@.*@#!/opt/python/bin/python3@' {root}/opt/python/bin/pip*")
        if not sandbox.cold:
            for name, inside in CACHES.items():
                lines.append(f"mkdir -p {root}{inside} && mount --bind {self.cache}/{name} {root}{inside}")
        lines += self._limits(sandbox, root)
        if sandbox.prepare:
            prepare = self.put(f"prepare-{Path(script).stem}.sh", "set -e\n" + "\n".join(sandbox.prepare) + "\n")
            lines.append(f"chroot {root} env -i {_assignments(env)} bash {prepare} </dev/null >/dev/null 2>&1")
        lines.append(f"exec {self._enter(sandbox, root)} env -i {_assignments(env)} bash {script} </dev/null")
        return "\n".join(lines) + "\n"

    @staticmethod
    def _enter(sandbox: Sandbox, root: Path) -> str:
        if sandbox.user == "root":
            return f"chroot {root}"
        return f"chroot --userspec=1000:1000 {root}"

    def _limits(self, sandbox: Sandbox, root: Path) -> list[str]:
        lines = []
        if sandbox.disk_mb:
            lines.append(f"mount -t tmpfs -o size={sandbox.disk_mb}m tmpfs {root}/builds")
        if sandbox.user != "root":
            lines.append(f"chown 1000:1000 {root}/builds {root}{HOME}")
        if sandbox.memory_mb:
            group = f"/sys/fs/cgroup/memory/{self.hostname}"
            lines.append(f"mkdir -p {group} && echo {sandbox.memory_mb}M > {group}/memory.limit_in_bytes")
            lines.append(f"echo $$ > {group}/cgroup.procs")
        return lines

    def discard(self) -> None:
        """Delete the machine's scratch folder and its control group."""
        group = Path("/sys/fs/cgroup/memory") / self.hostname
        if group.is_dir():
            group.rmdir()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _certificates() -> dict[str, str]:
    return {name: os.environ[name] for name in CERTIFICATES if name in os.environ}


def _assignments(env: Mapping[str, str]) -> str:
    return " ".join(shlex.quote(f"{name}={value}") for name, value in env.items())
