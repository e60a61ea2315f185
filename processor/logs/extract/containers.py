"""Container images that can't be pulled or found: Docker, BuildKit, Podman, Kubernetes, registries."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-z0-9][\w.-]*(?::\d+(?=/))?(?:/[\w.-]+)*)"
IMAGE = rf"{NAME}(?::(?P<version>[\w][\w.-]*))?(?:@sha256:[0-9a-f]+)?"
END = r"(?=[:\s\"',]|$)"


def short(name: str) -> str:
    """The name as people write it: without Docker Hub's host and library/."""
    return name.removeprefix("registry-1.").removeprefix("index.").removeprefix("docker.io/").removeprefix("library/")


def image(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a container image."""
    return package("docker", regex, weight, cue=cue, clean=short)


PATTERNS: tuple[Pattern, ...] = (
    image(rf"manifest for {IMAGE} not found", 1.0),
    image(rf"source metadata for {IMAGE}{END}", 1.0),
    image(rf"load metadata for {IMAGE}{END}", 0.45),
    image(
        rf"failed to (?:solve|resolve reference|create LLB definition):? \"?{IMAGE}\"?: (?:not found|failed|pull|un)",
        1.0,
        cue="failed to (solve|resolve reference|create LLB)",
    ),
    image(rf"failed to resolve reference \"{IMAGE}\"", 1.0),
    image(rf"failed to create LLB definition: {IMAGE}: ", 1.0),
    image(
        r"(?:ERROR|error|failed)[^\"]*[ \"](?P<name>[\w.-]+(?::\d+)?/[\w./-]+):(?P<version>[\w.-]+): not found",
        0.95,
        cue="(ERROR|rror|failed).*: not found",
    ),
    image(rf"no such manifest: {IMAGE}", 1.0),
    image(r"reading manifest (?P<version>[\w.-]+) in (?P<name>[\w./:-]+\w): ", 1.0),
    image(rf"initializing source docker://{IMAGE}", 0.95),
    image(rf"pull access denied for {IMAGE}", 1.0),
    image(rf"repository {IMAGE} not found", 1.0, cue="repository .* not found: does not exist"),
    image(rf"ailed to pull (?:and unpack )?image:? [\"']?(?!with\b){IMAGE}[\"']?", 0.95),
    image(rf"Back-off pulling image \"{IMAGE}\"", 0.95),
    image(rf"rror pulling image (?:configuration )?\"?{IMAGE}", 0.9),
    image(rf"[Uu]nable to pull {IMAGE}: ", 0.95),
    image(rf"(?<![\w./:-]){IMAGE}: image not known", 0.95, cue="image not known"),
    image(rf"No such image: {IMAGE}", 0.95),
    image(rf"image does not exist locally with the tag: {IMAGE}", 0.95),
    image(rf"tag does not exist: {IMAGE}", 0.95),
    image(rf"short-name \"{IMAGE}\" did not resolve", 0.95),
    image(rf"pulling {IMAGE}.*manifest unknown", 0.9),
    image(r"https?://[^/\s]+/v2/(?P<name>[\w./-]+)/manifests/(?P<version>[\w.-]+)", 0.85),
    image(rf"Unable to find image '{IMAGE}' locally", 0.55),
    image(rf"push refers to (?:a )?repository \[{IMAGE}\]", 0.6),
    image(rf"executor with image {IMAGE}", 0.15),
    image(rf"ERROR .*FROM (?:--platform=\S+ )?{IMAGE}", 0.7),
    image(rf"FROM (?:--platform=\S+ )?{IMAGE}(?:\s|$)", 0.3),
)
