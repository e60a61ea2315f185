"""The one line that shows a fault best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.contract import Excerpt, ExcerptLine
from processor.logs.cause import cause, near
from processor.logs.extract import candidates
from processor.logs.reduce import reduce


def excerpt(*lines: tuple[str, float]) -> Excerpt:
    """Lines with their scores; ranked by them."""
    made = tuple(ExcerptLine(number, text, score) for number, (text, score) in enumerate(lines, 1))
    order = sorted((line for line in made if line.score > 1), key=lambda line: -line.score)
    return Excerpt(made, len(made), tuple(line.number for line in order))


@pytest.mark.parametrize(
    ("lines", "shows"),
    [
        # what the command that failed printed before its end
        ([("README.md:2180:Line longer than 80 characters.", 0.4), ('The command "lint" exited with 1.', 4.0)], 1),
        # what Maven says below the goal that failed
        (
            [
                ("[ERROR] Failed to execute goal a:b:3.8:compile (default) on project c: Compilation failure", 12.0),
                ("[ERROR] Blob.java: warnings found and -Werror specified", 3.0),
                ("[ERROR] -> [Help 1]", 2.0),
            ],
            2,
        ),
        # the package that an error blames, whatever else failed before
        (
            [
                ("Err:18 http://archive.example/ubuntu trusty/main i386 Packages", 6.0),
                ("module.js:327", 1.0),
                ("Error: Cannot find module 'fast-deep-equal'", 6.5),
            ],
            3,
        ),
        # the compiler's first error, not its summary
        (
            [
                ("streams/client.go:38:20: not enough arguments in call to json.New", 5.0),
                ("streams/client.go:39:1: undefined: json.Config", 5.5),
                ("Makefile:35: recipe for target 'build' failed", 9.0),
            ],
            1,
        ),
        # a note that has nothing to do with it has a low score
        ([("Your version of Packer is out of date! The latest version", 1.3), ("Package size limit exceeded", 6.0)], 2),
        # nothing says anything
        ([("exit status 1", 2.0)], 1),
        ([], 0),
    ],
)
def test_the_line_that_a_person_would_quote(lines: list[tuple[str, float]], shows: int) -> None:
    """By what the candidates blame, then by score, past what only says that something failed."""
    made = excerpt(*lines)
    assert cause(made, candidates(made)) == shows


def test_lines_that_have_nothing_to_do_with_it() -> None:
    """By their score beside the highest."""
    assert near(excerpt(("hint: Using 'master'", 0.4), ("error: boom", 9.0), ("at line 3", 1.0))) == {2, 3}
    assert near(excerpt(("nothing", 0.0))) == {1}


@given(
    st.lists(st.sampled_from(["error: boom", "exit status 1", "FAILED a.py::b", "ok", "npm ERR! code E1"]), min_size=1)
)
def test_it_is_a_line_of_the_excerpt(lines: list[str]) -> None:
    """Whatever it says."""
    made = reduce("\n".join(lines).encode(), 200)
    assert cause(made, candidates(made)) in {line.number for line in made.lines}
