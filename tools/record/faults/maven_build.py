"""Maven and the Java virtual machine: what the build itself gets wrong."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Span, kind
from tools.record.projects import java

TOOLS = {"maven": "mvn --version", "java": "java -version"}
MVN = "mvn --batch-mode --no-transfer-progress"


def _pom(body: str = "", parent: str = "") -> str:
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n  <modelVersion>4.0.0</modelVersion>\n'
        f"{parent}  <groupId>com.acme.billing</groupId>\n  "
        "<artifactId>invoicing</artifactId>\n  <version>4.2.0</version>\n"
        f"{body}</project>\n"
    )


def _fault(run: int, category: str, script: str, span: Span, pom: str = "", **more: object) -> Fault:
    return Fault(
        repo="acme/invoicing",
        job="verify",
        category=category,
        files={"pom.xml": pom or _pom(), **java("./", "com.acme.billing", 4, run), **more.pop("files", {})},  # type: ignore[dict-item]
        script=("mvn --version", script),
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


@kind("maven/missing_version", tools=TOOLS)
def missing_version(run: int) -> Fault:
    """A dependency without a version that nothing manages."""
    body = (
        "  <dependencies>\n    "
        "<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId></dependency>\n"
        "  </dependencies>\n"
    )
    wanted = Dependency("org.slf4j:slf4j-api", None, "maven")
    span = Span(r"'dependencies\.dependency\.version' for")
    alt = ("config_script", "build")
    return _fault(run, "dependency_resolution", f"{MVN} verify", span, _pom(body), dependency=wanted, alt=alt)


@kind("maven/no_parent", tools=TOOLS)
def no_parent(run: int) -> Fault:
    """A parent POM that no repository has."""
    parent = (
        "  <parent><groupId>com.acme.platform</groupId><artifactId>parent-pom</artifactId>"
        "<version>12.0.1</version></parent>\n"
    )
    wanted = Dependency("com.acme.platform:parent-pom", "12.0.1", "maven")
    span = Span(r"Non-resolvable parent POM")
    alt = ("dependency_missing",)
    pom = _pom(parent=parent)
    return _fault(run, "dependency_resolution", f"{MVN} verify", span, pom, dependency=wanted, alt=alt)


@kind("maven/no_goal", {"goal": "deplo"}, {"goal": "sonarr:sonar"}, keep=(1, 1), tools=TOOLS)
def no_goal(run: int, goal: str) -> Fault:
    """A misspelt phase, or the prefix of a plugin that is not known."""
    span = Span(r"Unknown lifecycle phase|No plugin found for prefix")
    return _fault(run, "config_script", f"{MVN} {goal}", span)


@kind("maven/no_pom", tools=TOOLS)
def no_pom(run: int) -> Fault:
    """The job builds in a folder without a POM."""
    span = Span(r"requires a project to execute but there is no POM")
    return _fault(run, "config_script", f"cd /builds && {MVN} verify", span)


@kind("maven/no_module", tools=TOOLS)
def no_module(run: int) -> Fault:
    """The job builds a module that the reactor does not have."""
    span = Span(r"Could not find the selected project in the reactor")
    return _fault(run, "config_script", f"{MVN} -pl service verify", span)


@kind("maven/toolchain_release", tools=TOOLS)
def toolchain_release(run: int) -> Fault:
    """The enforcer wants a newer Java."""
    body = (
        "  <build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>"
        "<artifactId>maven-enforcer-plugin</artifactId><version>3.5.0</version><executions><execution>"
        "<goals><goal>enforce</goal></goals><configuration><rules><requireJavaVersion><version>[33,)</version>"
        "</requireJavaVersion></rules></configuration></execution></executions></plugin></plugins></build>\n"
    )
    span = Span(r"Detected JDK .* is not in the allowed range")
    return _fault(run, "environment", f"{MVN} verify", span, _pom(body), alt=("dependency_policy",))


@kind("java/heap_reservation", {"limit": 2000000, "heap": "3g"}, keep=(1,), tools=TOOLS)
def heap_reservation(run: int, limit: int, heap: str) -> Fault:
    """The virtual machine gets no memory for its heap."""
    script = f"ulimit -v {limit}; java -Xms{heap} -Xmx{heap} -version"
    return _fault(run, "resource", script, Span(r"Could not reserve enough space|insufficient memory"))


@kind("java/class_version", tools=TOOLS)
def class_version(run: int) -> Fault:
    """A class was compiled for a newer Java than the one that runs it."""
    files = {"Tool.java": 'public class Tool { public static void main(String[] a) { System.out.println("ok"); } }\n'}
    # The class file's major version is in its bytes 6 and 7.
    script = (
        "javac -d out Tool.java && printf '\\000\\115' | dd of=out/Tool.class bs=1 "
        "seek=6 conv=notrunc status=none && java -cp out Tool"
    )
    span = Span(r"UnsupportedClassVersionError")
    return _fault(run, "environment", script, span, files=files, alt=("dependency_incompatible",))
