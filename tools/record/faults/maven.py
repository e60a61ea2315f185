"""Maven: resolution, enforcer, compiler, checkstyle, JUnit."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import java

TOOLS = {"maven": "mvn --version", "java": "java -version"}
JUNIT = (
    "    <dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId>"
    "<version>5.10.3</version><scope>test</scope></dependency>\n"
)
MVN = "mvn --batch-mode --no-transfer-progress"


def _dependency(name: str, version: str, more: str = "") -> str:
    group, artifact = name.split(":")
    return (
        f"    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version>{more}</dependency>\n"
    )


def _plugin(name: str, version: str, body: str) -> str:
    group, artifact = name.split(":")
    return (
        f"      <plugin><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version>{body}</plugin>\n"
    )


def _pom(artifact: str, body: str, *, parent: str = "", packaging: str = "jar") -> str:
    head = (
        f"  <parent><groupId>com.acme.billing</groupId><artifactId>billing</artifactId>"
        f"<version>{parent}</version></parent>\n"
        if parent
        else "  <groupId>com.acme.billing</groupId>\n"
    )
    version = "" if parent else "  <version>4.2.0</version>\n"
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n  <modelVersion>4.0.0</modelVersion>\n'
        f"{head}  <artifactId>{artifact}</artifactId>\n{version}  "
        f"<packaging>{packaging}</packaging>\n{body}</project>\n"
    )


def _project(
    run: int,
    *,
    count: int = 6,
    dependencies: str = "",
    plugins: str = "",
    release: str = "17",
    modules: tuple[str, ...] = ("model", "store", "service"),
) -> dict[str, str]:
    """A parent and its modules; the fault's dependencies and plugins go into the last module."""
    properties = (
        f"  <properties><maven.compiler.release>{release}</maven.compiler.release>"
        "<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>\n"
    )
    listed = "".join(f"    <module>{name}</module>\n" for name in modules)
    managed = "".join(
        _plugin(f"org.apache.maven.plugins:maven-{name}-plugin", version, "")
        for name, version in (("compiler", "3.13.0"), ("surefire", "3.3.1"), ("resources", "3.3.1"), ("jar", "3.4.2"))
    )
    files = {
        ".gitignore": "target/\n",
        "pom.xml": _pom(
            "billing",
            f"{properties}  <modules>\n{listed}  </modules>\n"
            f"  <build><pluginManagement><plugins>\n{managed}  </plugins></pluginManagement></build>\n",
            packaging="pom",
        ),
    }
    for index, name in enumerate(modules):
        last = index == len(modules) - 1
        body = f"  <dependencies>\n{JUNIT}{dependencies if last else ''}  </dependencies>\n"
        if last and plugins:
            body += f"  <build><plugins>\n{plugins}  </plugins></build>\n"
        files[f"{name}/pom.xml"] = _pom(f"billing-{name}", body, parent="4.2.0")
        files |= java(f"{name}/", f"com.acme.billing.{name}", count + index, run)
    return files


@kind(
    "maven/missing_artifact",
    {"name": "com.acme.platform:audit-client", "version": "3.4.0"},
    {"name": "com.google.guava:guava", "version": "99.1-jre"},
    {"name": "org.apache.commons:commons-lang3", "version": "3.99.0"},
    keep=(3, 2),
    tools=TOOLS,
)
def missing_artifact(run: int, name: str, version: str) -> Fault:
    """An artifact that no repository has."""
    return Fault(
        repo="acme/billing-core",
        job="verify",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "maven"),
        files=_project(run, dependencies=_dependency(name, version)),
        script=("mvn --version", f"{MVN} verify"),
        spans=(Span(r"^\[ERROR\] Failed to execute goal on project .*Could not (resolve|find)"),),
        style="steps" if run == 1 else "plain",
    )


@kind(
    "maven/missing_plugin",
    {"name": "com.acme.build:release-notes-maven-plugin", "version": "1.2.0"},
    keep=(1,),
    tools=TOOLS,
)
def missing_plugin(run: int, name: str, version: str) -> Fault:
    """A build plugin that no repository has; downloads of the others show."""
    return Fault(
        repo="acme/billing-core",
        job="verify",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "maven"),
        files=_project(
            run,
            plugins=_plugin(
                name, version, "<executions><execution><goals><goal>notes</goal></goals></execution></executions>"
            ),
        ),
        script=("mvn --batch-mode verify",),
        spans=(Span(r"^\[ERROR\] (Plugin|Failed to).*release-notes-maven-plugin"),),
        sandbox=Sandbox(cold=True),
    )


@kind("maven/compile_error", {"wrong": "int"}, {"wrong": "String"}, keep=(3, 1), tools=TOOLS)
def compile_error(run: int, wrong: str) -> Fault:
    """A wrong type and a symbol that is not there, in the last of three modules."""
    files = _project(run, count=8)
    files["service/src/main/java/com/acme/billing/service/Dunning.java"] = (
        "package com.acme.billing.service;\n\n"
        + "// Another line.\n" * run
        + "/** Reminders. */\npublic final class Dunning {\n"
        f"    public {wrong} days(Invoice invoice) {{\n        return invoice.total();\n    }}\n\n"
        "    public long fee(Invoice invoice) {\n        return invoice.reminderFee();\n    }\n}\n"
    )
    return Fault(
        repo="acme/billing-core",
        job="compile",
        category="compile",
        files=files,
        script=("mvn --version", f"{MVN} compile"),
        spans=(Span(r"^\[ERROR\] COMPILATION ERROR", r"^\[INFO\] \d+ errors?"),),
        style="steps" if run == 2 else "plain",
    )


@kind("maven/junit_failure", {"noun": "Discount"}, {"noun": "Surcharge"}, keep=(4, 1), tools=TOOLS)
def junit_failure(run: int, noun: str) -> Fault:
    """One JUnit test of many fails."""
    files = _project(run, count=10)
    path = "service/src/{}/java/com/acme/billing/service/" + noun
    files[path.format("main") + ".java"] = (
        f"package com.acme.billing.service;\n\n/** A {noun}. */\npublic final class {noun} {{\n"
        "    public long of(long cents, int percent) {\n        return cents * percent / 1000;\n    }\n}\n"
    )
    files[path.format("test") + "Test.java"] = (
        "package com.acme.billing.service;\n\nimport static org.junit.jupiter.api.Assertions.assertEquals;\n\n"
        "import org.junit.jupiter.api.Test;\n\n"
        + "// Another line.\n"
        * run
        + f"class {noun}Test {{\n    @Test\n    void tenPercentOfAHundredIsTen() {{\n"
        f"        assertEquals(10, new {noun}().of(100, 10));\n    }}\n\n"
        f"    @Test\n    void nothingOfNothing() {{\n        assertEquals(0, new {noun}().of(0, 10));\n    }}\n}}\n"
    )
    return Fault(
        repo="acme/billing-core",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(f"{noun}Test.tenPercentOfAHundredIsTen",),
        after=("ls */target/surefire-reports", "cat service/target/surefire-reports/*Invoice*.xml | head -120"),
        script=("mvn --version", f"{MVN} test"),
        spans=(
            Span(rf"^\[ERROR\].*{noun}Test\.tenPercentOfAHundredIsTen", r"expected: <10>"),
            Span(r"^\[ERROR\] Failures:", r"expected: <10>"),
        ),
        style="steps" if run == 2 else "plain",
    )


BANNED = """<executions><execution><id>house-rules</id><goals><goal>enforce</goal></goals><configuration><rules>
        <bannedDependencies><excludes><exclude>{name}</exclude></excludes></bannedDependencies>
      </rules></configuration></execution></executions>"""


@kind(
    "maven/banned_dependency",
    {"name": "log4j:log4j", "version": "1.2.17"},
    {"name": "commons-logging:commons-logging", "version": "1.2"},
    keep=(2, 1),
    tools=TOOLS,
)
def banned_dependency(run: int, name: str, version: str) -> Fault:
    """The enforcer finds a dependency that the house rules forbid."""
    return Fault(
        repo="acme/billing-core",
        job="policy",
        category="dependency_policy",
        dependency=Dependency(name, version, "maven"),
        files=_project(
            run,
            dependencies=_dependency(name, version),
            plugins=_plugin("org.apache.maven.plugins:maven-enforcer-plugin", "3.5.0", BANNED.format(name=name)),
        ),
        script=(f"{MVN} verify",),
        spans=(Span(r"^\[ERROR\] Rule \d+: .*BannedDependencies failed", r"banned via|<---"),),
    )


CONVERGENCE = """<executions><execution><id>house-rules</id><goals><goal>enforce</goal></goals><configuration><rules>
        <dependencyConvergence/></rules></configuration></execution></executions>"""


@kind("maven/convergence", {"name": "org.slf4j:slf4j-api", "version": "2.0.13"}, keep=(2,), tools=TOOLS)
def convergence(run: int, name: str, version: str) -> Fault:
    """Two dependencies bring two versions of a third."""
    dependencies = _dependency("ch.qos.logback:logback-classic", "1.5.6") + _dependency(
        "org.apache.kafka:kafka-clients", "3.7.1"
    )
    return Fault(
        repo="acme/ledger",
        job="policy",
        category="dependency_policy",
        alt=("dependency_resolution",),
        dependency=Dependency(name, version, "maven"),
        files=_project(
            run,
            dependencies=dependencies,
            plugins=_plugin("org.apache.maven.plugins:maven-enforcer-plugin", "3.5.0", CONVERGENCE),
        ),
        script=(f"{MVN} verify",),
        spans=(Span(r"Dependency convergence error for", r"kafka-clients|\]$"),),
    )


@kind("maven/no_such_method", {"name": "com.google.guava:guava", "version": "18.0"}, keep=(2,), tools=TOOLS)
def no_such_method(run: int, name: str, version: str) -> Fault:
    """At run time an older library is there than the code was compiled against."""
    files = _project(run, count=6, dependencies=_dependency(name, "33.2.1-jre"))
    files["service/src/main/java/com/acme/billing/service/Batches.java"] = (
        "package com.acme.billing.service;\n\nimport com.google.common.collect.Streams;\n"
        "import java.util.stream.Stream;\n\n"
        "/** Batches. */\npublic final class Batches {\n"
        "    public long both(Stream<String> one, Stream<String> two) {\n"
        "        return Streams.concat(one, two).count();\n    }\n}\n"
    )
    files["service/src/test/java/com/acme/billing/service/BatchesTest.java"] = (
        "package com.acme.billing.service;\n\nimport static org.junit.jupiter.api.Assertions.assertEquals;\n\n"
        "import java.util.stream.Stream;\nimport org.junit.jupiter.api.Test;\n\n"
        "class BatchesTest {\n    @Test\n    void countsBoth() {\n"
        '        assertEquals(2, new Batches().both(Stream.of("a"), Stream.of("b")));\n    }\n}\n'
    )
    swap = (
        f"{MVN} dependency:get -Dartifact={name}:{version} -Dtransitive=false -q && "
        "cp ~/.m2/repository/com/google/guava/guava/18.0/guava-18.0.jar "
        "~/.m2/repository/com/google/guava/guava/33.2.1-jre/guava-33.2.1-jre.jar"
    )
    return Fault(
        repo="acme/ledger",
        job="unit-tests",
        category="dependency_incompatible",
        alt=("test", "dependency_resolution"),
        dependency=Dependency(name, None, "maven", accept=("com.google.common", "guava")),
        files=files,
        failing_tests=("BatchesTest.countsBoth",),
        script=(f"{MVN} test-compile", swap, f"{MVN} test -Dmaven.main.skip=true"),
        spans=(Span(r"NoClassDefFoundError|NoSuchMethodError|ClassNotFoundException", r"BatchesTest.countsBoth"),),
        sandbox=Sandbox(cold=True),
    )


CHECKSTYLE = """<configuration><checkstyleRules><module name="Checker">
        <module name="TreeWalker"><module name="UnusedImports"/><module name="MagicNumber"/></module></module>
      </checkstyleRules><violationSeverity>error</violationSeverity><consoleOutput>true</consoleOutput></configuration>
      <executions><execution><phase>validate</phase><goals><goal>check</goal></goals></execution></executions>"""


@kind("maven/checkstyle", {"rule": "MagicNumber"}, keep=(2,), tools=TOOLS)
def checkstyle(run: int, rule: str) -> Fault:
    """Checkstyle finds what the house style forbids."""
    files = _project(run, plugins=_plugin("org.apache.maven.plugins:maven-checkstyle-plugin", "3.4.0", CHECKSTYLE))
    files["service/src/main/java/com/acme/billing/service/Rates.java"] = (
        "package com.acme.billing.service;\n\nimport java.util.List;\n\n/** Rates. */\npublic final class Rates {\n"
        "    public long of(long cents) {\n        return cents * 19 / 119;\n    }\n}\n"
    )
    return Fault(
        repo="acme/ledger",
        job="style",
        category="static_check",
        files=files,
        script=(f"{MVN} verify",),
        spans=(
            Span(rf"Rates.java.*\[?({rule}|UnusedImports)\]?", every=True),
            Span(r"^\[ERROR\] Failed to execute goal .*checkstyle"),
        ),
    )


@kind("maven/heap", {"heap": "64m"}, keep=(2,), tools=TOOLS)
def heap(run: int, heap: str) -> Fault:
    """A test needs more than the heap of the forked JVM."""
    files = _project(
        run,
        plugins=_plugin(
            "org.apache.maven.plugins:maven-surefire-plugin",
            "3.3.1",
            f"<configuration><argLine>-Xmx{heap}</argLine></configuration>",
        ),
    )
    files["service/src/test/java/com/acme/billing/service/ImportTest.java"] = (
        "package com.acme.billing.service;\n\nimport java.util.ArrayList;\nimport java.util.List;\n"
        "import org.junit.jupiter.api.Test;\n\nclass ImportTest {\n    @Test\n    void importsAYear() {\n"
        "        List<byte[]> days = new ArrayList<>();\n        for (int day = 0; day < 365; day++) {\n"
        "            days.add(new byte[1_000_000]);\n        }\n    }\n}\n"
    )
    return Fault(
        repo="acme/ledger",
        job="unit-tests",
        category="resource",
        alt=("test",),
        files=files,
        script=(f"{MVN} test",),
        spans=(Span(r"^\[ERROR\] There was an error in the forked process", r"Java heap space"),),
    )


@kind("maven/release_too_new", {"release": "25"}, keep=(1,), tools=TOOLS)
def release_too_new(run: int, release: str) -> Fault:
    """The project asks for a newer Java than the image has."""
    return Fault(
        repo="acme/ledger",
        job="compile",
        category="environment",
        alt=("dependency_incompatible", "compile", "config_script"),
        files=_project(run, release=release),
        script=("java -version", f"{MVN} compile"),
        spans=(Span(r"^\[ERROR\] Failed to execute goal .*release version 25 not supported"),),
    )


@kind("maven/no_network", {"name": "org.apache.commons:commons-text", "version": "1.12.0"}, keep=(2,), tools=TOOLS)
def no_network(run: int, name: str, version: str) -> Fault:
    """The repository cannot be reached."""
    return Fault(
        repo="acme/ledger",
        job="verify",
        category="network_infra",
        alt=("dependency_resolution",),
        files=_project(run, dependencies=_dependency(name, version)),
        script=("mvn --version", f"{MVN} verify"),
        spans=(Span(r"^\[ERROR\] .*(Unknown host|Could not transfer|Temporary failure)"),),
        sandbox=Sandbox(net=False, cold=True),
    )


@kind("maven/bad_pom", {"element": "<dependancies/>"}, keep=(1,), tools=TOOLS)
def bad_pom(run: int, element: str) -> Fault:
    """A pom.xml that Maven cannot read."""
    files = _project(run)
    files["service/pom.xml"] = files["service/pom.xml"].replace("  <dependencies>", f"  {element}\n  <dependencies>", 1)
    return Fault(
        repo="acme/ledger",
        job="verify",
        category="config_script",
        alt=("build",),
        files=files,
        script=(f"{MVN} verify",),
        spans=(Span(r"^\[(FATAL|ERROR)\].*(Malformed POM|Unrecognised tag|non-parseable)"),),
    )
