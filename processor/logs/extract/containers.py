"""Container images that can't be pulled."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-z0-9][\w.-]*(?::\d+)?(?:/[\w.-]+)*)"
IMAGE = rf"{NAME}(?::(?P<version>[\w][\w.-]*))?(?:@sha256:[0-9a-f]+)?"


def short(name: str) -> str:
    """The name as people write it: without Docker Hub's host and library/."""
    return name.removeprefix("registry-1.").removeprefix("index.").removeprefix("docker.io/").removeprefix("library/")


def image(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a container image."""
    return package("docker", cue, regex, weight, clean=short)


PATTERNS: tuple[Pattern, ...] = (
    image("manifest for .* not found", rf"manifest for {IMAGE} not found", 1.0),
    image("source metadata for ", rf"source metadata for {IMAGE}(?=[:\s]|$)", 1.0),
    image(
        ": not found",
        r"(?:ERROR|error|failed)[^\"]*[ \"](?P<name>[\w.-]+(?::\d+)?/[\w./-]+):(?P<version>[\w.-]+): not found",
        0.95,
    ),
    image("no such manifest: ", rf"no such manifest: {IMAGE}", 1.0),
    image(
        "reading manifest ", r"reading manifest (?P<version>[\w.-]+) in (?P<name>[\w./:-]+\w): manifest unknown", 1.0
    ),
    image("pull access denied for ", rf"pull access denied for {IMAGE}", 1.0),
    image("repository .* not found: does not exist", rf"repository {IMAGE} not found", 1.0),
    image("ailed to pull (and unpack )?image", rf"ailed to pull (?:and unpack )?image \"?{IMAGE}\"?", 0.95),
    image("Back-off pulling image", rf"Back-off pulling image \"{IMAGE}\"", 0.95),
    image("rror pulling image", rf"rror pulling image (?:configuration )?\"?{IMAGE}", 0.9),
    image(
        "manifest unknown", rf"(?:pulling|reading manifest \S+ in|initializing source docker://){'[ ]?'}{IMAGE}", 0.95
    ),
    image("/manifests/", r"https?://[^/\s]+/v2/(?P<name>[\w./-]+)/manifests/(?P<version>[\w.-]+)", 0.85),
    image("no matching manifest for ", rf"{IMAGE}.*no matching manifest for", 0.6),
    image("Unable to find image '", rf"Unable to find image '{IMAGE}' locally", 0.55),
    image("executor with image ", rf"executor with image {IMAGE}", 0.15),
    image("FROM ", rf"FROM (?:--platform=\S+ )?{IMAGE}(?:\s|$)", 0.3),
    package(
        "helm",
        'chart ".*" (version|not found|matching)',
        r"chart \"(?P<name>[\w.-]+)\"(?: version \"(?P<version>[^\"]+)\")? (?:not found|matching)",
        0.9,
    ),
)
