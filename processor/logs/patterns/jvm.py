"""JVM: javac, Maven, Gradle, Kotlin, Scala, JUnit, Surefire."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "maven",
        10,
        r"^\[ERROR\] Failed to execute goal ",
        r"Could not (?:find|resolve|transfer|collect) (?:artifact|dependencies|metadata)|Non-resolvable (?:parent|import) POM",
        r"^\[ERROR\] .+\.(?:java|kt|scala|groovy):\[?\d+",
        r"^\[ERROR\] {1,3}\S.*:\d+(?:->\S+)? ",
        r"^\[ERROR\]\s+(?:\S+Test|Test\S+|\S+IT)\b",
        r"^\[ERROR\]\s+(?:symbol|location|required|found|reason):",
        r"\bRule \d+: .+ failed with message|Found Banned Dependency|Dependency convergence error|Require upper bound dependencies",
        r"There (?:are|were|is) (?:test failures|\d+ (?:errors? reported by Checkstyle|PMD|bugs?))|You have \d+ (?:Checkstyle|PMD) violation",
        r"^\[(?:ERROR|WARN)\] .+\.java:\d+(?::\d+)?: .+\[\w+\]",
        r"^\[ERROR\] (?:COMPILATION ERROR|Tests run:.*(?:FAILURE|ERROR)|Errors:|Failures:|There was an error|The build could not read|'dependencies|Unresolveable|Plugin )",
    ),
    *errors(
        "maven-tail",
        2,
        r"^\[ERROR\]\s*$",
        r"^\[ERROR\] (?:To see the full|Re-run Maven|For more information|\[Help \d|-> \[Help|After correcting|  mvn )",
        r"^\[INFO\] BUILD FAILURE|^\[INFO\] .+FAILURE \[",
    ),
    *errors(
        "surefire",
        10,
        r"<<< (?:FAILURE|ERROR)!",
        r"^(?:Failed tests|Tests in error|Failures|Errors):",
        r"^Tests run: \d+, Failures: (?:[1-9]\d*|\d+, Errors: [1-9])",
        r"^[ \t]{2,}\w+(?:\(.+\)|\.\w+:\d+).*(?::|»| )",
        r"^\S+ > .+ (?:FAILED|STARTED FAILED)$",
        r"\d+ tests? completed, \d+ failed",
        r"(?:org\.junit|org\.opentest4j|junit\.framework|java\.lang|java\.io|java\.net|java\.util|org\.springframework|kotlin)\.[\w.]*(?:Error|Exception|Failure)\b",
        r"expected: ?<.*> but was: ?<|Expected: .*(?:but|got):|Wanted but not invoked|Expecting",
        r"The forked VM terminated|Failed to load ApplicationContext|Error creating bean with name",
    ),
    *errors(
        "gradle",
        9,
        r"^\* What went wrong:|^> (?:Could not|A failure|There were failing|Compilation failed|Failed|Unable|No matching|Cannot|Process '|Lint found|Unresolved)",
        r"^Execution failed for task|^A problem occurred|^FAILURE: Build (?:failed|completed)|^> Task \S+ FAILED",
        r"^e: (?:file:)?\S|^w: .+error",
        r"^\S+\.(?:java|kt|scala|groovy):\d+: (?:error|warning: \[|Lint)|^\S+\.java:\[\d+,\d+\] ",
        r"(?:cannot find symbol|incompatible types|package .+ does not exist|class file has wrong version|bad class file:|cannot access \w+\.|unreported exception|might not have been initialized|has private access|Unresolved reference)",
        r"Could not (?:GET|HEAD|resolve all|determine the|create task|find method|get unknown property|compile|initialize class)",
        r"UnsupportedClassVersionError|Unsupported class file major version|invalid (?:source|target) release|has been compiled by a more recent|source release \d+ requires|release version \d+ not supported",
        r"^\[error\] .+\.scala:\d+|^\[error\] (?:\(|stack|Total|sbt|unresolved|Error|java)|sbt\.\w+Exception",
        r"Android SDK|SDK location not found|You have not accepted the license|AAPT: error|Manifest merger failed",
    ),
    *errors("gradle-tail", 2, r"^\* Try:|^> Run with --|^\* Get more help|^BUILD FAILED|^\[error\]|^BUILD FAILED in"),
    *kinds(
        "jvmframe",
        "frame",
        1,
        r"^[ \t]+at [\w$.<>/]+\([\w$]+\.(?:java|kt|scala|groovy):\d+\)",
        r"^[ \t]+(?:symbol|location|required|found|reason|where|where .+):",
    ),
)
