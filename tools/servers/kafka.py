"""Apache Kafka (KRaft, one combined broker and controller) out of Maven artifacts, for tests; no containers.

Needs Java 17 or later, and Maven for the first fetch of the 46 jars (44 MB), which stay in the cache.
`python -m tools.servers.kafka [--port N]`; `$KAFKA_BOOTSTRAP` names a running cluster to use instead.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import bootstrap
from tools.bootstrap import SetupError, say
from tools.servers import broker, process

VERSION = "4.3.1"
SCALA = "2.13"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-fetch</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{SCALA}</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""

# A single broker has to be told that one replica is enough, for each of its internal topics.
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=2097152
"""

# C1 alone halves the processor time of a start; the small heap is enough for tests (about 250 MB resident).
JAVA_OPTIONS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true"]


def jars() -> Path:
    """The folder of the broker's jars, fetched or not."""
    return bootstrap.cache() / "kafka" / f"kafka_{SCALA}-{VERSION}"


def java_version() -> int:
    """Major version of `java`, 0 if there is none."""
    try:
        told = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else 0


def obstacle() -> str | None:
    """Why Apache Kafka can't be run here, or None if it can."""
    return None if broker.given() else own_obstacle()


def own_obstacle() -> str | None:
    """Why a broker of our own can't be run here, or None if it can."""
    version = java_version()
    if version < 17:
        found = f"Java {version}" if version else "no Java"
        return f"Apache Kafka needs Java 17 or later ({found} here), or a cluster named in KAFKA_BOOTSTRAP"
    if not jars().exists() and not shutil.which("mvn"):
        return "Apache Kafka is fetched with Maven (`mvn`), which isn't here; or name a cluster in KAFKA_BOOTSTRAP"
    return None


def fetch() -> Path:
    """Copies the broker's jars into the cache, once. Raises SetupError."""
    target = jars()
    with bootstrap.locked(bootstrap.cache() / "locks" / "kafka.lock"):
        if not target.exists():
            say("kafka", f"fetching Apache Kafka {VERSION} with Maven, 44 MB")
            part = target.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            with tempfile.TemporaryDirectory() as folder:
                pom = Path(folder, "pom.xml")
                pom.write_text(POM, encoding="utf-8")
                words = [
                    "mvn",
                    "-q",
                    "-B",
                    "-f",
                    pom,
                    "dependency:copy-dependencies",
                    "-DincludeScope=runtime",
                ]
                bootstrap.command("kafka", [*words, f"-DoutputDirectory={part}"], remedy=bootstrap.NETWORK)
            part.replace(target)
    return target


def cluster_id() -> str:
    """A new cluster's id."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")


class Kafka(process.Server):
    """One broker on its own data folder; `stop` or `kill` and then `start` brings it back on the same data."""

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        heap: str = "256m",
        *,
        java: Sequence[str] = (),
        users: Sequence[str] = (),
        cluster: str | None = None,
    ) -> None:
        """The data lies in `folder`.

        `settings`: more lines of server.properties; in a value, {controller} is the controller's port. `java`: more
        options of the virtual machine. `users`: SCRAM users to format the data with, as StorageTool takes them.
        `cluster`: the id that all brokers of one cluster have (see `cluster_id`); without it the broker is alone.
        """
        self.folder = folder
        port = port or process.free_port()
        self._settings = {
            "listeners": f"PLAINTEXT://{process.LOOPBACK}:{port},CONTROLLER://{process.LOOPBACK}:{{controller}}",
            "advertised.listeners": f"PLAINTEXT://{process.LOOPBACK}:{port}",
            "controller.quorum.voters": f"1@{process.LOOPBACK}:{{controller}}",
            "log.dirs": str(folder / "data"),
            **(settings or {}),
        }
        self._properties = folder / "server.properties"
        self._cluster = cluster or cluster_id()
        self._users = [word for user in users for word in ("--add-scram", user)]
        command = ["java", f"-Xms{heap}", f"-Xmx{heap}", *JAVA_OPTIONS, *java, "-cp", f"{jars()}/*"]
        address = f"{process.LOOPBACK}:{port}"
        super().__init__(
            "kafka",
            [*command, "kafka.Kafka", self._properties],
            address=address,
            ready=lambda: self._started() and broker.speaks_kafka(address),
            logs=folder,
            stop_s=20,
        )
        self._format_command = [*command, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "kafka.tools.StorageTool"]

    def _started(self) -> bool:
        # Said when the broker is registered, caught up and unfenced; before that its listener may already answer.
        return b"Kafka Server started" in self.log.read_bytes()

    def launch(self) -> None:
        """Formats the data folder the first time, then starts the broker."""
        if self.pid is None:
            fetch()
            if not (self.folder / "data").exists():
                self._format()
            self.log.write_bytes(b"")
        super().launch()

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        controller = str(process.free_port())
        lines = [f"{key}={value.replace('{controller}', controller)}\n" for key, value in self._settings.items()]
        self._properties.write_text(PROPERTIES + "".join(lines), encoding="utf-8")
        words = [*self._format_command, "format", "-t", self._cluster, "-c", self._properties, *self._users]
        bootstrap.command("kafka", words, remedy="The folder is new; is the disk full?")


def kafka(folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> process.Server:
    """The cluster in `$KAFKA_BOOTSTRAP`, else a broker of our own in `folder`. Raises SetupError if neither can be."""
    hindered = obstacle()
    if hindered:
        raise SetupError(hindered)
    return broker.given() or Kafka(folder, port, settings)


def main() -> int:
    """Runs a broker in the foreground, on data that is thrown away at the end."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faultstream-kafka-") as folder:
        try:
            server = kafka(Path(folder), options.port)
        except SetupError as error:
            print(error)
            return 1
        return process.serve(server, lambda server: f"Apache Kafka on {server.address}, Ctrl-C stops it")


if __name__ == "__main__":
    sys.exit(main())
