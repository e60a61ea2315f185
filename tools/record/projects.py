"""Working code to put a fault into: modules and passing tests of some size, in several languages.

``run`` varies the amount, as the commits between two builds would: line numbers, counts and the order of
output differ, the fault does not.
"""

from __future__ import annotations

NOUNS = [
    "invoice", "ledger", "tariff", "parcel", "voucher", "quota", "session", "tenant", "shipment",
    "refund", "basket", "catalog", "coupon", "region", "courier", "booking", "account", "address",
    "payment", "profile", "receipt", "report", "roster", "schedule", "segment", "station", "stock",
    "supplier", "survey", "ticket", "token", "transfer", "vehicle", "vendor", "wallet", "warehouse",
    "widget", "window", "archive", "batch", "beacon", "cluster", "digest", "envelope", "feature",
    "gauge", "hub", "index", "journal", "kernel", "label", "matrix",
]  # fmt: skip

GITIGNORE = "node_modules/\ntarget/\n.venv/\n__pycache__/\nbuild/\ndist/\n*.class\n*.o\n"


def nouns(count: int, run: int) -> list[str]:
    """``count`` names and two more for each run."""
    return NOUNS[: min(len(NOUNS), count + 2 * run)]


def typescript(count: int, run: int) -> dict[str, str]:
    """``src/<noun>.ts`` and its Vitest tests, which pass."""
    files = {".gitignore": GITIGNORE}
    for number, noun in enumerate(nouns(count, run)):
        name = noun.capitalize()
        files[f"src/{noun}.ts"] = f"""\
export interface {name} {{
  id: number;
  label: string;
  amounts: number[];
}}

export function create{name}(id: number, label = "{noun}"): {name} {{
  return {{ id, label, amounts: [] }};
}}

export function total{name}(item: {name}): number {{
  return item.amounts.reduce((sum, amount) => sum + amount, 0);
}}

export function slug{name}(item: {name}): string {{
  return `${{item.label.trim().toLowerCase().replace(/\\s+/g, "-")}}-${{item.id}}`;
}}
"""
        files[f"src/{noun}.test.ts"] = f"""\
import {{ describe, expect, it }} from "vitest";
import {{ create{name}, slug{name}, total{name} }} from "./{noun}";

describe("{noun}", () => {{
  it("starts empty", () => {{
    expect(total{name}(create{name}({number}))).toBe(0);
  }});
  it.each([1, 2, 3, {number + 4}])("adds up %i amounts", (count) => {{
    const item = create{name}(count);
    item.amounts.push(...Array(count).fill({number + 1}));
    expect(total{name}(item)).toBe(count * {number + 1});
  }});
  it("makes slugs", () => {{
    expect(slug{name}(create{name}({number}, " Big {noun} "))).toBe("big-{noun}-{number}");
  }});
}});
"""
    return files


def python(package: str, count: int, run: int) -> dict[str, str]:
    """``<package>/<noun>.py`` and its pytest tests, which pass."""
    files = {".gitignore": GITIGNORE, f"{package}/__init__.py": f'"""The {package} package."""\n'}
    for number, noun in enumerate(nouns(count, run)):
        name = noun.capitalize()
        files[f"{package}/{noun}.py"] = f'''\
"""What a {noun} is."""

from dataclasses import dataclass, field


@dataclass
class {name}:
    """One {noun}."""

    label: str
    amounts: list[float] = field(default_factory=list)

    def total(self) -> float:
        """The sum of all amounts."""
        return sum(self.amounts)

    def slug(self) -> str:
        """A name for addresses."""
        return "-".join(self.label.lower().split())
'''
        files[f"tests/test_{noun}.py"] = f"""\
import pytest

from {package}.{noun} import {name}


def test_{noun}_starts_empty():
    assert {name}("x").total() == 0


@pytest.mark.parametrize("count", [1, 2, 5, {number + 7}])
def test_{noun}_adds_up(count):
    assert {name}("x", [1.5] * count).total() == 1.5 * count


def test_{noun}_slug():
    assert {name}("Big {noun} {number}").slug() == "big-{noun}-{number}"
"""
    return files


def java(folder: str, package: str, count: int, run: int) -> dict[str, str]:
    """Classes and JUnit 5 tests of one Maven module, which pass."""
    files = {}
    path = package.replace(".", "/")
    for number, noun in enumerate(nouns(count, run)):
        name = noun.capitalize()
        files[f"{folder}src/main/java/{path}/{name}.java"] = f"""\
package {package};

import java.util.ArrayList;
import java.util.List;

/** One {noun}. */
public final class {name} {{
    private final List<Long> amounts = new ArrayList<>();

    public void add(long amount) {{
        amounts.add(amount);
    }}

    public long total() {{
        return amounts.stream().mapToLong(Long::longValue).sum();
    }}
}}
"""
        files[f"{folder}src/test/java/{path}/{name}Test.java"] = f"""\
package {package};

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class {name}Test {{
    @Test
    void startsEmpty() {{
        assertEquals(0, new {name}().total());
    }}

    @Test
    void addsUp() {{
        {name} item = new {name}();
        item.add({number + 1});
        item.add(2);
        assertEquals({number + 3}, item.total());
    }}
}}
"""
    return files


def rust(count: int, run: int) -> tuple[dict[str, str], str]:
    """Modules with passing tests, and the ``mod`` lines for ``lib.rs``."""
    files = {".gitignore": GITIGNORE}
    names = nouns(count, run)
    for number, noun in enumerate(names):
        name = noun.capitalize()
        files[f"src/{noun}.rs"] = f"""\
/// One {noun}.
#[derive(Debug, Default, Clone)]
pub struct {name} {{
    pub label: String,
    pub amounts: Vec<u64>,
}}

impl {name} {{
    pub fn total(&self) -> u64 {{
        self.amounts.iter().sum()
    }}

    pub fn slug(&self) -> String {{
        self.label.trim().to_lowercase().replace(' ', "-")
    }}
}}

#[cfg(test)]
mod tests {{
    use super::*;

    #[test]
    fn starts_empty() {{
        assert_eq!({name}::default().total(), 0);
    }}

    #[test]
    fn adds_up() {{
        let item = {name} {{ label: "x".into(), amounts: vec![{number}, 2, 3] }};
        assert_eq!(item.total(), {number + 5});
    }}

    #[test]
    fn makes_slugs() {{
        let item = {name} {{ label: " Big {noun} ".into(), amounts: vec![] }};
        assert_eq!(item.slug(), "big-{noun}");
    }}
}}
"""
    return files, "".join(f"pub mod {noun};\n" for noun in names)


def go(count: int, run: int) -> dict[str, str]:
    """``internal/<noun>`` packages with passing tests."""
    files = {".gitignore": GITIGNORE}
    for number, noun in enumerate(nouns(count, run)):
        name = noun.capitalize()
        files[f"internal/{noun}/{noun}.go"] = f"""\
// Package {noun} knows what a {noun} is.
package {noun}

// {name} is one {noun}.
type {name} struct {{
\tLabel   string
\tAmounts []int
}}

// Total adds the amounts up.
func (x {name}) Total() int {{
\tsum := 0
\tfor _, amount := range x.Amounts {{
\t\tsum += amount
\t}}
\treturn sum
}}
"""
        files[f"internal/{noun}/{noun}_test.go"] = f"""\
package {noun}

import "testing"

func Test{name}Empty(t *testing.T) {{
\tif got := ({name}{{}}).Total(); got != 0 {{
\t\tt.Fatalf("got %d", got)
\t}}
}}

func Test{name}AddsUp(t *testing.T) {{
\tfor _, count := range []int{{1, 2, {number + 3}}} {{
\t\titem := {name}{{Amounts: make([]int, count)}}
\t\tfor i := range item.Amounts {{
\t\t\titem.Amounts[i] = 2
\t\t}}
\t\tif got := item.Total(); got != 2*count {{
\t\t\tt.Errorf("%d amounts: got %d", count, got)
\t\t}}
\t}}
}}
"""
    return files


def cpp(count: int, run: int) -> tuple[dict[str, str], list[str]]:
    """``src/<noun>.cpp`` with headers, and the sources' paths."""
    files = {".gitignore": GITIGNORE}
    sources = []
    for noun in nouns(count, run):
        name = noun.capitalize()
        files[f"include/{noun}.hpp"] = f"""\
#pragma once
#include <string>
#include <vector>

struct {name} {{
  std::string label;
  std::vector<long> amounts;
  long total() const;
  std::string slug() const;
}};
"""
        files[f"src/{noun}.cpp"] = f"""\
#include "{noun}.hpp"

#include <algorithm>
#include <numeric>

long {name}::total() const {{
  return std::accumulate(amounts.begin(), amounts.end(), 0L);
}}

std::string {name}::slug() const {{
  std::string out = label;
  std::replace(out.begin(), out.end(), ' ', '-');
  return out;
}}
"""
        sources.append(f"src/{noun}.cpp")
    return files, sources
