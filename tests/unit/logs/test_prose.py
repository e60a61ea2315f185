"""Which sentences say something of a log."""

from __future__ import annotations

import pytest

from processor.logs.prose import invents, is_empty, quoted, says, words

LOG = """\
streams/client.go:38:20: not enough arguments in call to json.New
makefile:35: recipe for target 'build' failed
the command "go vet ./... && echo "done"" exited with 1.
""".lower()
SHOWN = LOG.splitlines()[:1]
ASKED = words("The code does not compile, link or type-check. The machine has no room left.")


@pytest.mark.parametrize(
    ("said", "says_something"),
    [
        ("client.go gives json.New too few arguments.", True),
        ("There are not enough arguments in the call to json.New.", True),
        ("A call has too few arguments", True),
        ("The build failed because of an error.", False),
        ("Compilation failed; see the compiler error output for details.", False),
        ("The code does not compile, link or type-check.", False),  # a meaning of the question
        ("No room was left on the machine.", False),  # nothing of it stands there
        ("The command 'go vet ./... && echo ", False),  # ends at the line's own quotation mark
        ("The arguments of `json.New", False),
        ("Not enough arguments in:", False),
        ("The command 'go vet' exited with 1.", False),
        ("The following error occurred while executing this line: client.go:38", False),
        ("", False),
    ],
)
def test_a_sentence_has_to_say_what_the_lines_show(said: str, says_something: bool) -> None:
    """In words of its own or in theirs, to the end, and not in those of the question."""
    assert says(said, SHOWN, LOG, ASKED) is says_something


def test_a_question_without_meanings_leaves_all_words() -> None:
    """A schema may have no enum."""
    assert says("Too few arguments.", SHOWN, LOG)


@pytest.mark.parametrize(
    "line",
    [
        "error Command failed with exit code 1.",
        'The command "./tools/check.sh" exited with 1.',
        "The command '/bin/sh -c make' returned a non-zero code: 2",
        (
            "[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.0:test (default-test)"
            " on project web: There are test failures."
        ),
        "Makefile:35: recipe for target 'build' failed",
        "npm ERR! Failed at the web@4.3.1 lint script.",
        "info Visit https://yarnpkg.com/en/docs/cli/run for documentation about this command.",
        "npm notice New major version of npm available! 8.1.0 -> 9.2.0",
        "##[error]Process completed with exit code 1.",
        "process didn't exit successfully: `target/debug/build-script-build` (exit status: 101)",
        "   Severity: High   Confidence: High",
        "[WARNING]",
        "",
    ],
)
def test_lines_that_fit_every_failed_build(line: str) -> None:
    """They name the command, if anything, and not the fault."""
    assert is_empty(line)


@pytest.mark.parametrize(
    "line",
    [
        "Please run yarn prettier-all and add changes to files listed below",
        "make: *** No rule to make target 'gen', needed by 'all'.  Stop.",
        "E   ModuleNotFoundError: No module named 'opencc'",
        "Error: ENOSPC: no space left on device",
    ],
)
def test_lines_that_tell_a_fault(line: str) -> None:
    """They don't fit another build."""
    assert not is_empty(line)


@pytest.mark.parametrize(
    ("said", "invented"),
    [
        ("json.New lacks arguments at client.go:38:20.", False),
        ("json.New lacks arguments at client.go:39:20.", True),
        ("react@17.0.2 is missing.", True),
        ("ERESOLVE", True),
    ],
)
def test_what_is_specific_has_to_stand_in_the_log(said: str, invented: bool) -> None:
    """Numbers, versions, paths, codes of errors."""
    assert invents(said, LOG) is invented


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[ERROR] src/Rates.java:[3,8] cannot find symbol", "src/Rates.java:[3,8] cannot find symbol"),
        ("[ERROR] Failed to resolve a:b:1.0 -> [Help 1]", "Failed to resolve a:b:1.0"),
        ("##[error]docker: no space left on device", "docker: no space left on device"),
        ("E   ModuleNotFoundError: No module named 'opencc'", "ModuleNotFoundError: No module named 'opencc'"),
        ("  - Root composer.json requires ext-imagick", "Root composer.json requires ext-imagick"),
        ("E: Unable to locate package gdal", "E: Unable to locate package gdal"),
        ("--frozen-lockfile is not known", "--frozen-lockfile is not known"),
        ("[ERROR]", "[ERROR]"),
        ("", ""),
    ],
)
def test_a_line_in_the_place_of_a_sentence_has_no_marks_around_it(line: str, said: str) -> None:
    """Nothing of the message itself goes, and something is always left."""
    assert quoted(line) == said
