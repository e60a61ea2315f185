"""Gradle: resolution, plugins, tasks, compiler, scripts, tests; as the distribution packages it."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Span, kind
from tools.record.projects import java

TOOLS = {"gradle": "apt-cache policy gradle | grep Candidate"}
GET = "apt-get update -qq && apt-get install -y -qq --no-install-recommends gradle"
HEAD = "apply plugin: 'java'\nversion = '1.{run}.0'\nrepositories {{ mavenCentral() }}\n"


def _fault(run: int, script: str, span: Span, **more: object) -> Fault:
    build = str(more.pop("build", HEAD.format(run=run)))
    files = {"build.gradle": build, "settings.gradle": "rootProject.name = 'dispatch'\n"}
    extra = more.pop("files", {})
    return Fault(
        repo="acme/dispatch",
        job="build",
        files={**java("./", "com.acme.dispatch", 4, run), **files, **extra},  # type: ignore[dict-item]
        setup=(GET, "rm -rf src/test"),
        script=("gradle --version", f"gradle --no-daemon --console=plain {script}"),
        spans=(span,),
        style="steps" if run else "plain",
        **{"category": "dependency_resolution", **more},  # type: ignore[arg-type]
    )


@kind("gradle/no_module", tools=TOOLS)
def no_module(run: int) -> Fault:
    """A dependency that no repository has."""
    build = HEAD.format(run=run) + "dependencies { compile 'com.google.guava:guava:99.1-jre' }\n"
    wanted = Dependency("com.google.guava:guava", "99.1-jre", "maven")
    return _fault(run, "build", Span(r"> Could not find com\.google"), build=build, dependency=wanted)


@kind("gradle/no_plugin", tools=TOOLS)
def no_plugin(run: int) -> Fault:
    """A plugin that no source has."""
    build = "plugins { id 'com.acme.release-notes' version '3.1' }\n" + HEAD.format(run=run)
    wanted = Dependency("com.acme.release-notes", "3.1", "maven")
    return _fault(run, "build", Span(r"^Plugin \[id: "), build=build, dependency=wanted, alt=("dependency_missing",))


@kind("gradle/no_task", tools=TOOLS)
def no_task(run: int) -> Fault:
    """A task that the project does not have."""
    return _fault(run, "publishAll", Span(r"^Task 'publishAll' not found"), category="config_script")


@kind("gradle/script_error", tools=TOOLS)
def script_error(run: int) -> Fault:
    """The build script calls what is not there."""
    build = HEAD.format(run=run) + "dependencys { compile 'a:b:1' }\n"
    span = Span(r"^A problem occurred evaluating root project", r"Could not find method")
    return _fault(run, "build", span, build=build, category="config_script", alt=("build",))


@kind("gradle/compile_error", tools=TOOLS)
def compile_error(run: int) -> Fault:
    """A class that does not compile."""
    files = {
        "src/main/java/com/acme/dispatch/Route.java": 'package com.acme.dispatch;\n\nclass Route { int n = "3"; }\n'
    }
    span = Span(r"error: incompatible types")
    return _fault(run, "build", span, files=files, category="compile")


@kind("gradle/no_network", tools=TOOLS)
def no_network(run: int) -> Fault:
    """Gradle does not reach the repository."""
    build = HEAD.format(run=run).replace("mavenCentral()", "maven { url 'http://registry.acme.example:8099/maven' }")
    build += "dependencies { compile 'com.google.guava:guava:32.1.3-jre' }\n"
    span = Span(r"> Could not resolve com\.google", r"Connection refused")
    return _fault(run, "build", span, category="network_infra", alt=("dependency_resolution",), build=build)
