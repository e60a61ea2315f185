"""Templates: rendering in a sandbox, and the static check of variables and members."""

from __future__ import annotations

import pytest

from processor.errors import Rejected
from processor.lang.template import Template, TemplateInvalid, check, codes, percent, plural, slug, variables
from processor.lang.types import INT, STRING, list_of, map_of, object_of

CONTEXT = {
    "event": object_of({"repo": STRING, "attempt": INT}),
    "items": list_of(object_of({"name": STRING, "version": STRING.or_null()})),
    "choices": map_of(list_of(object_of({"code": STRING}))),
    "package": object_of({"name": STRING}).or_null(),
}


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.repo|upper }} {{ event['attempt'] }}",
        "{% for one in items %}{{ loop.index }}: {{ one.name }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{% for code, one in items|codes('c') %}{{ code }} {{ one.name }}{% endfor %}",
        "{% for name, listed in choices.items() %}{{ name }}{% endfor %}",
        "{% if package %}{{ package.name }}{% endif %}",
        "{% set first = items|first %}{{ first.name if first else '' }}",
        "{% macro row(one) %}{{ one }}{% endmacro %}{{ row(event.repo) }}",
        "{{ items|map(attribute='name')|join(', ') }}",
    ],
)
def test_right_templates_have_no_issues(text: str) -> None:
    """What the check passes is fine: loops, filters, macros, conditions."""
    assert check(text, CONTEXT) == []


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("{{ evnt.repo }}", 3, "unknown variable 'evnt'"),
        ("{{ event.repo }}\n{{ event.reop }}", 26, "event has no 'reop'"),
        ("{{ event.repo }}{{ event.x }}{{ event.x }}", 38, "event has no 'x'"),
        ("{% for one in items %}{{ one.nme }}{% endfor %}", 29, "one has no 'nme'"),
        ("{% for one in items %}{% endfor %}{{ one }}", 37, "unknown variable 'one'"),
        ("{{ package.name }}", 11, "package may be null"),
        ("{{ event.repo|uper }}", 14, "unknown filter 'uper'"),
        ("{{ event.repo is defind }}", 17, "unknown test 'defind'"),
        ("{% include 'x' %}", 3, "include is not allowed: a template stands alone"),
        ("{{ event.repo() }}", 9, "event.repo can't be called"),
        ("{% for one in event.attempt %}{% endfor %}", 3, "for needs a list, event.attempt is a whole number"),
        ("{% for each in choices %}{{ each.code }}{% endfor %}", 33, "each is a string and has no 'code'"),
        ("{% for each in event %}{{ each.repo }}{% endfor %}", 31, "each is a string and has no 'repo'"),
        ("{{ items|map(attribute='nme')|join }}", 24, "this has no 'nme'"),
        ("{{ event.repo|random }}", 14, "unknown filter 'random'"),
        ("{% if %}", 0, "not a template: Expected an expression, got 'end of statement block'"),
    ],
)
def test_mistakes_are_found_at_their_place(text: str, offset: int, message: str) -> None:
    """Each mistake is named where it stands, the second one of a line too."""
    assert (offset, message) in [(one.offset, one.message) for one in check(text, CONTEXT)]


def test_what_fails_is_rejected() -> None:
    """An undefined variable and a way out of the sandbox reject the event."""
    for text in (
        "{{ nothing }}",
        "{{ event.x }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ event.update({}) }}",
        "{{ 1 / 0 }}",
    ):
        with pytest.raises(Rejected) as error:
            Template(text).render(event={"repo": "a"})
        assert error.value.reason == "template_failed"


def test_syntax_errors_raise_with_their_place() -> None:
    """A template that doesn't parse says where."""
    with pytest.raises(TemplateInvalid) as error:
        Template("one\n{{ two", "x.j2")
    assert error.value.issue.offset == 4


def test_variables_and_filters() -> None:
    """The variables are listed; our own filters do what the reference says."""
    assert variables("{{ a }}{% for b in c %}{{ b }}{% endfor %}") >= {"a", "c"}
    assert (percent(0.934), percent(None), plural(1, "build"), plural(3, "build")) == (
        "93 %",
        "unknown",
        "1 build",
        "3 builds",
    )
    assert slug("a b/c: d") == "a-b-c-d"
    assert codes(["x", "y"], "k") == [("k1", "x"), ("k2", "y")]
    assert Template("{{ text|shorten(5) }}").render(text="a  long text") == "a lo…"
