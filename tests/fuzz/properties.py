"""What must hold for any bytes: hypothesis tries it for seconds, a coverage-guided fuzzer for as long as wished.

Each property takes bytes and raises AssertionError, or whatever the code wrongly raises. What else varies (borders of
chunks, budgets) is drawn by chance from a seed that the bytes determine, so that one file reproduces a finding.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from processor.contract import Excerpt, ExcerptLine, Record
from processor.errors import Rejected
from processor.logs import text
from processor.logs.baseline import Baseline
from processor.logs.decode import text_stream
from processor.logs.extract import EVERYTHING, candidates
from processor.logs.extract.collect import LIMIT
from processor.logs.extract.ecosystems import PATTERNS
from processor.logs.mask import mask
from processor.logs.memory import Lines
from processor.logs.redact import BLOCK, redactor
from processor.logs.reduce import reduce, reduce_stream
from processor.logs.rules import RuleSet
from processor.logs.scan import Scanner
from processor.logs.tokens import estimate
from processor.reasons import REASONS
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers
from processor.tickets import document, markdown, wiki

Property = Callable[[bytes], None]

CHECKOUT: Final = Path(__file__).parents[2]
BUDGETS: Final = (0, 1, 16, 40, 120, 250, 1000, 2000)
FILLER: Final = b"[ 12%] Building CXX object src/CMakeFiles/core.dir/io.cpp.o\n"
_TURNING: Final = (0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_HIDDEN: Final = frozenset(map(chr, (*range(32), *range(0x7F, 0xA0), *_TURNING, *range(0xE0000, 0xE0080))))


def chance(data: bytes) -> random.Random:
    """What is drawn for these bytes, the same each time."""
    return random.Random(zlib.crc32(data))  # noqa: S311  no secret


def cut(data: bytes, draw: random.Random) -> list[bytes]:
    """`data` in chunks of any size, empty ones among them."""
    borders = sorted(draw.choices(range(len(data) + 1), k=draw.randint(0, 12)))
    return [data[start:stop] for start, stop in itertools.pairwise([0, *borders, len(data)])]


def rejected(error: Rejected, data: bytes) -> None:
    """Only what is empty or no text is refused."""
    assert error.reason == text.sniff(data)


def within(part: bytes, whole: bytes) -> bool:
    """Whether the bytes of `part` are in `whole` in their order, whatever stands between them."""
    rest = iter(whole)
    return all(byte in rest for byte in part)


def unnumbered(clean: bytes) -> bytes:
    """Redacted text with all placeholders of a kind alike: what is found in a second look is numbered later."""
    return re.sub(rb"(?<=\[)([a-z0-9-]{2,40}):\d+(?=\])", rb"\1", clean)


def redaction(data: bytes) -> None:
    """However it is cut, a log gives the same clean text, which has as many lines, and nothing more to take out."""
    clean = redactor().redact(data)
    assert b"".join(redactor().session().stream(cut(data, chance(data)))) == clean
    assert clean.count(b"\n") == data.count(b"\n")
    assert redactor().redact(clean) == clean


def redaction_anywhere(data: bytes) -> None:
    """A secret is found wherever its lines lie to the blocks that are looked at together."""
    if len(data) > 4096:
        return
    before = FILLER * ((BLOCK - chance(data).randint(0, len(data) + 200)) // len(FILLER))
    part = data + b"\n\n" + FILLER * 20
    assert unnumbered(redactor().redact(before + part)) == before + unnumbered(redactor().redact(part))


def redaction_of_text(data: bytes) -> None:
    """Texts that are no UTF-8 pass as well."""
    given = data.decode("utf-8", "surrogateescape")
    clean = redactor().redact_text(given)
    assert clean.count("\n") == given.count("\n")
    assert redactor().redact_text(clean) == clean


def cleaning(data: bytes) -> None:
    """Line numbers never shift, and nothing that hides or turns text is left."""
    assert text.clean(data).count(b"\n") == data.count(b"\n")
    shown = text.show(data)
    assert shown.count("\n") == data.count(b"\n")
    assert not _HIDDEN.intersection(shown.replace("\n", "").replace("\t", ""))
    assert b"".join(text.blocks(cut(data, chance(data)), 64)) == data


def reduction(data: bytes) -> None:
    """At most the budget, numbers that exist and ascend, texts that stand on those lines; streamed or not, the same."""
    draw = chance(data)
    budget = draw.choice(BUDGETS)
    try:
        excerpt = reduce(data, budget)
    except Rejected as error:
        rejected(error, data)
        return
    assert reduce_stream(cut(data, draw), budget) == excerpt
    assert estimate(excerpt.text) <= excerpt.tokens
    assert excerpt.tokens <= budget or not excerpt.lines
    raw = text.decode(data).split(b"\n")
    assert excerpt.total_lines == len(raw) - (raw[-1] == b"")
    last = 0
    for line in excerpt.lines:
        assert line.number > last
        last = line.number + line.repeated - 1
        assert last <= excerpt.total_lines
        shown = line.text.translate({ord("…"): None, 0xFFFD: None}).replace(" ", "")
        assert within(shown.encode(), raw[line.number - 1])
        assert not _HIDDEN.intersection(line.text.replace("\t", ""))
    kept = {number for line in excerpt.lines for number in range(line.number, line.number + line.repeated)}
    assert kept.issuperset(excerpt.ranked)


def comparison(data: bytes) -> None:
    """With the log of a passing run beside it the same holds; a log that passes itself is no fault."""
    half = len(data) // 2
    for log, passing in ((data, data), (data[:half], data[half:])):
        try:
            baseline = Baseline.of(passing)
        except Rejected as error:
            rejected(error, passing)
            continue
        try:
            excerpt = reduce(log, 200, baseline=baseline)
        except Rejected as error:
            rejected(error, log)
            continue
        assert excerpt.tokens <= 200 or not excerpt.lines
        assert reduce_stream(cut(log, chance(data)), 200, baseline=baseline) == excerpt


def transcoding(data: bytes) -> None:
    """A stream of any encoding is what the whole is."""
    pieces = cut(data, chance(data))
    try:
        whole = text.require_text(data)
    except Rejected as error:
        rejected(error, data)
        return
    assert b"".join(text_stream(pieces)) == whole


def lines_of(data: bytes) -> Excerpt:
    """The lines as an excerpt that keeps them all."""
    lines = text.show(data).split("\n")[:200]
    numbered = tuple(ExcerptLine(number, line) for number, line in enumerate(lines, 1))
    return Excerpt(numbered, len(lines), tuple(range(1, len(lines) + 1, 2)))


def extraction(data: bytes) -> None:
    """What is extracted has a name and stands on lines of the excerpt, likeliest first, not too many."""
    excerpt = lines_of(data)
    for found in candidates(excerpt, EVERYTHING).values():
        assert len(found) <= LIMIT
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert 0 < len(one.name) <= 300
            assert 0 < one.score <= 1
            assert one.lines
            assert set(one.lines) <= set(range(1, excerpt.total_lines + 1))


_BY_LITERALS: Final = [pattern for pattern in PATTERNS if not pattern.hint]


@functools.cache
def _cues() -> Scanner:
    return Scanner([(pattern.cue, False) for pattern in _BY_LITERALS])


def prefiltering(data: bytes) -> None:
    """No extractor matches a line that has none of the literals that its expression demands."""
    for whole in text.show(data).split("\n")[:5]:
        line = whole[:2_000]
        cued = {index for index, _ in _cues().hits(line.encode())}
        unseen = (pattern for index, pattern in enumerate(_BY_LITERALS) if index not in cued)
        missed = [pattern.source for pattern in unseen if pattern.regex.search(line)]
        assert not missed, missed


@functools.cache
def _rules() -> RuleSet:
    return RuleSet.parse(yaml.safe_load((CHECKOUT / "pipelines/ci_failure/rules.yaml").read_text(encoding="utf-8")))


@functools.cache
def _rule_lines() -> Lines:
    return Lines(_rules())


def recognition(data: bytes) -> None:
    """A rule that holds names lines of the excerpt; so it is where the lines were read before."""
    excerpt = lines_of(data)
    found = _rules().match(excerpt)
    before = [on_line for (on_line,) in _rule_lines()([line.text for line in excerpt.lines])]
    assert _rules().match(excerpt, before) == found
    if found is not None:
        assert found.lines
        assert set(found.lines) <= set(range(1, excerpt.total_lines + 1))


@functools.cache
def _decoders() -> list[Decoder]:
    providers = Providers.load(sorted((CHECKOUT / "config/providers").glob("*.yaml")))
    mapped = {"repo": ("repository.full_name", "x-repo"), "body": ("log.text", "message"), "run_id": ("id",)}
    configs = [DecodeConfig(form, max_bytes=100_000) for form in ("auto", "log", "json", "cloudevents")]
    configs.append(DecodeConfig("auto", mapped, 100_000))
    return [Decoder(config, providers, "fuzz") for config in configs]


_TYPES: Final = (b"", b"application/json", b"application/cloudevents+json", b"text/plain; charset=x", b"\xff\xfe")
_NAMES: Final = ("fs-origin", "ce_id", "ce_type", "ce_time", "attempt", "x-github-event", "subject", "ce_specversion")


def decoding(data: bytes) -> None:
    """A record of any bytes, with any headers, is an event or rejected for a reason that is documented."""
    draw = chance(data)
    parts = cut(data, draw)
    headers = [("content-type", draw.choice(_TYPES)), *((draw.choice(_NAMES), part) for part in parts[:3])]
    record = Record(
        "logs", 0, 7, None, data, tuple(headers if draw.random() < 0.7 else ()), draw.choice((0, 1, 1 << 40))
    )
    try:
        event = draw.choice(_decoders()).decode(record)
    except Rejected as error:
        reason = error.reason
    else:
        reason = ""
        assert event.body or event.reference or event.payload is not None
    assert not reason or reason in REASONS


def masking(data: bytes) -> None:
    """Masking what is masked changes nothing."""
    for line in text.show(data).split("\n")[:50]:
        masked = mask(line[:2_000])
        assert mask(masked) == masked, line


def tickets(data: bytes) -> None:
    """Nothing of a log is markup in a ticket, ends the block that it is shown in, or hides or turns text."""
    given = data.decode("utf-8", "replace")
    link = document.Text(given, href=given)
    line = document.Paragraph((document.Text(given), document.Text(given, code=True), link))
    for block in (
        line,
        document.Code((given,)),
        document.Heading(3, (link,)),
        *markdown.document(markdown.hide(given)).blocks,
    ):
        shown = wiki.wiki(document.Document((block,)))
        assert not _HIDDEN.difference("\u200b").intersection(shown.replace("\n", "").replace("\t", ""))
    assert wiki.wiki(document.Document((document.Code((given, "x")),))).lower().count("{noformat") == 2
    assert document.units(document.cut(given, 50)) <= 50
    assert len(document.label(given).split()) <= 1


PROPERTIES: Final[Mapping[str, Property]] = {
    one.__name__: one
    for one in (
        redaction,
        redaction_anywhere,
        redaction_of_text,
        cleaning,
        transcoding,
        reduction,
        comparison,
        extraction,
        prefiltering,
        recognition,
        decoding,
        masking,
        tickets,
    )
}
