"""Long stack traces are cut in the middle: what was thrown, one's own calls, the causes and the end stay."""

from __future__ import annotations

import pytest

from processor.logs import reduce

CALLS = 80
BUILD = [f"[{n}/900] compiling module number {n}, all is well so far" for n in range(700)]
END = ["src/x.c:3:4: error: another fault here", "##[error]Process completed with exit code 1."]


def java() -> tuple[list[str], list[str]]:
    """A trace of Spring with a cause."""
    own = ["\tat com.acme.shop.Cart.total(Cart.java:41)", "\tat com.acme.shop.Money.of(Money.java:12)"]
    library = [f"\tat org.springframework.core.Proxy{n}.invoke(Proxy{n}.java:{n})" for n in range(CALLS)]
    head, cause = (
        'Exception in thread "main" java.lang.RuntimeException: no cart',
        "Caused by: java.io.IOException: no x",
    )
    end = ["\tat com.acme.Main.main(Main.java:5)", "\t... 61 more"]
    trace = [head, *library[:40], own[0], *library[40:], cause, own[1], *library[:60], *end]
    return trace, [head, library[0], *own, cause, *end]


def python() -> tuple[list[str], list[str]]:
    """A trace through a library, most recent call last."""
    calls = [
        line
        for n in range(CALLS)
        for line in (
            f'  File "/env/lib/python3.11/site-packages/lib{n}/core.py", line {n}, in call',
            "    return next()",
        )
    ]
    own = ['  File "/app/shop/cart.py", line 12, in total', "    raise ValueError('no currency')"]
    head, said = "Traceback (most recent call last):", "ValueError: no currency"
    return [head, *calls, *own, said], [head, calls[0], *own, said]


def node() -> tuple[list[str], list[str]]:
    """A rejected promise."""
    head = ["TypeError: Cannot read properties of undefined (reading 'total')", "    at total (/app/src/cart.js:12:3)"]
    calls = [f"    at step{n} (/app/node_modules/koa/lib/x{n}.js:{n}:7)" for n in range(CALLS)]
    end = "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"
    return [*head, *calls, end], [*head, end]


def go() -> tuple[list[str], list[str]]:
    """A panic: two lines a call."""
    head = ["panic: runtime error: index out of range [3] with length 3", "", "goroutine 1 [running]:"]
    calls = [
        line for n in range(CALLS) for line in (f"example.com/shop.f{n}(0x{n:x})", f"\t/src/shop/f{n}.go:{n} +0x1d")
    ]
    end = ["main.main()", "\t/src/main.go:9 +0x20"]
    return [*head, *calls, *end], [head[0], *calls[:2], *end]


def dotnet() -> tuple[list[str], list[str]]:
    """An unhandled exception."""
    head = ["Unhandled exception. System.InvalidOperationException: no currency"]
    head += ["   at Acme.Cart.Total(Order o) in /src/Cart.cs:line 12"]
    calls = [f"   at Microsoft.AspNetCore.Mvc.Step{n}.Invoke(Context c)" for n in range(CALLS)]
    end = "   at Acme.Program.Main(String[] args) in /src/Program.cs:line 5"
    return [*head, *calls, end], [*head, end]


def rust() -> tuple[list[str], list[str]]:
    """A panic with its backtrace."""
    head = ["thread 'main' panicked at src/cart.rs:12:5:", "no currency", "stack backtrace:"]
    calls = [
        line
        for n in range(CALLS)
        for line in (
            f"  {n:2}: core::ops::function::step{n}",
            f"             at /rustc/abc/library/core/src/x.rs:{n}:9",
        )
    ]
    end = ["  90: shop::main", "             at ./src/main.rs:4:5"]
    return [*head, *calls, *end], [*head[:2], *calls[:2], *end]


@pytest.mark.parametrize("language", [java, python, node, go, dotnet, rust])
@pytest.mark.parametrize("after", [0, 30])
def test_head_own_calls_and_end_stay(language: object, after: int) -> None:
    """A trace of 80 calls does not spend 500 tokens, and leaves no end of itself behind; the fault after it is kept."""
    assert callable(language)
    trace, wanted = language()
    log = [*BUILD, *trace, *[f"running step {n}" for n in range(after)], *END]
    excerpt = reduce("\n".join(log).encode(), 500)
    numbers = {line.number for line in excerpt.lines}
    missed = [line for line in wanted if len(BUILD) + 1 + trace.index(line) not in numbers]
    assert not missed
    assert numbers >= {len(log) - 1, len(log)}
    assert len(numbers & set(range(len(BUILD) + 1, len(BUILD) + len(trace) + 1))) < len(trace) // 2


def test_short_traces_stay_whole() -> None:
    """Ten calls are no more than what one wants to see."""
    trace = [
        "java.lang.IllegalStateException: no currency",
        *[f"\tat org.junit.X{n}.run(X.java:{n})" for n in range(10)],
    ]
    excerpt = reduce("\n".join([*BUILD, *trace, *END]).encode(), 600)
    assert {line.number for line in excerpt.lines} >= set(range(701, 712))
