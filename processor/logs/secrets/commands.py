"""Commands that are given secrets where no name tells of one: `mc alias set NAME URL KEY SECRET`.

A row each, after the tools' own documentation: the command, and which of the words behind it are secret. The words are
split as a shell does, in lists of arguments as well (`['mc', 'alias', …]`), and over lines that end in a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from processor.logs.secrets.kinds import Place
from processor.logs.secrets.values import _PROSE, _WORDY, harmless, opaque

LINES: Final = 12
"""Lines that a command goes on over."""
_KIND: Final = "command-password"
_Takes = Literal["secret", "pair", "literal", "other"]
"""What an option's value is: a secret, `NAME:SECRET`, `NAME=SECRET`, or nothing to hide."""
_GAP: Final = r"(?:[ \t]{1,3}|[\"'], ?[\"'])"
_OPTIONS: Final = r"(?:--?[A-Za-z][\w-]{0,30}(?:[ =][\w./:@-]{1,60})?[ \t]{1,3}){0,3}"
"""Options of the program itself, before what it is told to do."""
_SECRETS: Final = "(?:secret|credential|password)s?"
_SETTINGS: Final = "(?:config|context|env|kv|param(?:eter)?|setting|appsetting|var|variable)s?"
_WRITE: Final = "(?:set|put|add|create|store|update|edit|push|patch|write|import|upload|encrypt)"
_GIVEN: Final = "--value --body --data --secret --secret-value --secret-string --plaintext --text -v -b"
_NOT: Final = (
    "--app -a --repo -R --env -e --environment --project -p --scope -s --org -o --group -g --name -n --vault-name "
    "--namespace --site --team --profile --region --stack --title --type"
)
"""How many tools name what they keep, and what is done with it: `tool secrets set NAME=SECRET`."""
_MOST: Final = 100
"""Words of a command that are looked at."""


@dataclass(frozen=True)
class Command:
    """A command, and where in the words behind it secrets stand.

    `program` and `does` are regular expressions; a space stands for what is between words. `value`, `pair` and
    `literal` are the options whose values are a secret, `NAME:SECRET` or `NAME=SECRET`, `other` those whose values are
    none. `attached`: a short option's value may follow it without a space. `place`: which of the words that are no
    options is a secret, counted from 0 or, below it, from the end. `literals`: such words may be `NAME=SECRET`.
    `leads`: the first such word begins another command. `needs`: what else the words must hold. `random`: only
    what looks so is a secret, or where the words before it tell of one.
    """

    program: str
    does: str = ""
    value: str = ""
    pair: str = ""
    literal: str = ""
    other: str = ""
    attached: bool = False
    place: int | None = None
    literals: bool = False
    leads: bool = False
    needs: str = ""
    random: bool = False
    takes: dict[bytes, _Takes] = field(init=False)

    def __post_init__(self) -> None:
        """Puts the options into a table."""
        listed: dict[_Takes, str] = {
            "secret": self.value,
            "pair": self.pair,
            "literal": self.literal,
            "other": self.other,
        }
        table = {name.encode(): kind for kind, names in listed.items() for name in names.split()}
        object.__setattr__(self, "takes", table)

    @property
    def trigger(self) -> str:
        """Hyperscan: the end of the command's own words."""
        own = rf"(?:{self.does or self.program})"
        if self.does and " " not in self.does:  # a word that is all over logs
            own = rf"(?:{self.program})\b.{{1,80}}\b{own}"
        return rf"\b{own}".replace(" ", _GAP) + r"(?:[ \t]|[\"'],)"

    @property
    def words(self) -> str:
        """The command's own words, up to its arguments."""
        does = (_GAP + _OPTIONS + rf"(?:{self.does})".replace(" ", _GAP)) if self.does else ""
        return rf"(?:{self.program})(?:\.(?:exe|cmd|bat))?{does}"


COMMANDS: Final = (
    Command(
        r"snmp(?:walk|get|getnext|bulkwalk|bulkget|set|table|df|status|test|trap|inform|usm|vacm|delta|netstat)",
        value="-A -X -c",
        other="-a -x -u -l -v -n -e -E -m -M -O -I -r -t -C -P -d",
        attached=True,
    ),
    Command(r"mc(?:li)?", r"(?:alias set|config host add)", place=3, other="--api --path --lookup", needs=r"://"),
    Command(r"mc(?:li)?", r"admin user add", place=2),
    Command(r"az", r"keyvault secret set", value="--value"),
    Command(
        r"aws",
        r"secretsmanager (?:create-secret|put-secret-value|update-secret)",
        value="--secret-string --secret-binary",
    ),
    Command(r"aws", r"ssm put-parameter", value="--value", needs=r"\bSecureString\b"),
    Command(r"aws", r"configure set", place=1, other="--profile", needs=r"secret_access_key|session_token"),
    Command(r"gh", r"secret set", value="--body -b", attached=True),
    Command(r"(?:kubectl|oc|microk8s kubectl|k3s kubectl)", r"create secret", literal="--from-literal"),
    Command(r"(?:vault|bao)", r"kv (?:put|patch)", literals=True),
    Command(r"(?:fly|flyctl|supabase|wrangler pages)", r"secrets set", literals=True),
    Command(r"doppler", r"secrets set", literals=True, place=1, other="-p --project -c --config"),
    Command(r"pulumi", r"config set", place=1, other="-s --stack", needs=r"--secret\b"),
    Command(r"dotnet", r"user-secrets set", place=1, other="--project -p --id -c --configuration"),
    Command(r"ansible-vault", r"encrypt_string", place=0, other="--name -n --vault-id --encrypt-vault-id"),
    Command(r"rclone", r"obscure", place=0),
    Command(r"sshpass", value="-p", other="-f -d -P", attached=True, leads=True),
    Command(r"htpasswd", place=-1, other="-C -r", needs=r"(?:^|\s)-\w{0,4}b"),
    Command(r"(?:useradd|usermod)", value="-p --password"),
    Command(r"rabbitmqctl", r"(?:add_user|change_password|authenticate_user)", place=1),
    Command(r"mysqladmin", r"password", place=0),
    Command(r"nmcli", r"(?:dev|device|d) (?:wifi|w) con\w{0,4}", value="password", other="ifname bssid name"),
    Command(r"mosquitto_(?:pub|sub|rr)", value="-P --pw", other="-u -h -p -t -m -q -i -L"),
    Command(r"security", r"(?:create-keychain|unlock-keychain)", value="-p"),
    Command(r"security", r"set-key-partition-list", value="-k", other="-S -l -D"),
    Command(r"osslsigncode", r"sign", value="-pass", other="-certs -key -pkcs12 -in -out -n -i -t -ts -h"),
    Command(r"(?i:azuresigntool)", r"sign", value="-kvs", other="-kvu -kvi -kvt -kvc -tr -td -fd"),
    Command(r"certutil", value="-p"),
    Command(r"(?i:schtasks)", value="/rp /RP /p /P"),
    Command(r"net", r"user", place=1, needs=r"(?i)/add\b|/domain\b|/active\b"),
    Command(r"(?:xfreerdp|wfreerdp|sdl-freerdp)3?", value="/p"),
    Command(r"jenkins-cli\.jar", pair="-auth", other="-s"),
    Command(r"bw", r"login", place=1, needs=r"@"),
    Command(r"samba-tool", r"user (?:create|add)", place=1),
    Command(r"bw", r"unlock", place=0),
    Command(r"ssh-keygen", value="-N -P", other="-t -f -b -C -m -a -O"),
    Command(r"SUSEConnect", value="-r --regcode"),
    Command(r"cloudflared", r"service install", place=0),
    Command(r"[\w.-]{2,24}", rf"(?:{_SECRETS})(?: |:)(?:{_WRITE})", value=_GIVEN, other=_NOT, literals=True, place=1),
    Command(
        r"[\w.-]{2,24}",
        rf"(?:{_SETTINGS})(?: |:| --)(?:{_WRITE})",
        value=_GIVEN,
        literal="--set --settings",
        other=_NOT,
        literals=True,
        place=1,
        random=True,
    ),
)
"""Every command whose words tell by their place alone that they are secret."""

TRIGGER: Final = "|".join(sorted({row.trigger for row in COMMANDS}))
"""Hyperscan: the end of a command's own words."""

_COMMAND: Final = re.compile(
    rf"(?<![\w.-])(?:{'|'.join(f'(?P<row{number}>{row.words})' for number, row in enumerate(COMMANDS))})"
    r"(?:[ \t]|[\"'],)".encode()
)
_WORD: Final = re.compile(
    rb"(?P<gap>(?:[ \t]|[\\`^]\r?\n)*)"
    rb"(?P<word>(?:[^\s\"']{0,200}?[=:]|-[A-Za-z])?(?:\\{0,3}\"[^\"\n]*\"|\\{0,3}'[^'\n]*')[,;)\]]*|[^\s\"']+)"
)
_QUOTED: Final = re.compile(rb"(?P<head>[^\"']*?)\\{0,3}(?P<q>[\"'])(?P<in>.*?)\\{0,3}(?P=q)[,;)\]]*", re.DOTALL)
_OPTION: Final = re.compile(rb"(?P<name>[-/]{1,2}[A-Za-z][\w-]*)(?:(?P<sign>[=:])(?P<value>.*))?", re.DOTALL)
_ENDS: Final = re.compile(rb"(?:[|;&<>]|\d?>).*", re.DOTALL)
_USAGE: Final = re.compile(rb"[A-Z-]*(?:SECRET|PASS|KEY|VALUE|TOKEN|STRING)[A-Z-]*")
_PLAIN_NAMES: Final = re.compile(
    rb"(?i)(?:^|[_.-])(?:user|username|login|e?mail|host|hostname|server|port|region|endpoint|dbname"
    rb"|namespace|bucket|type|env|environment|mode|driver|dialect|ttl|policies)$"
)
_TELLS: Final = re.compile(rb"(?i)secret|passw|token|credential|api.?key")
_KNOWN: Final = frozenset((b"public", b"private"))
"""Communities of SNMP that everyone has."""


def commands(data: bytes, first: int, last: int, end: int) -> Iterator[Place]:
    """What is secret among the words of the commands on the line on which the own words of one end at `end`."""
    line = data.find(b"\n", end, last)
    line = line if line >= 0 else last
    while command := _COMMAND.search(data, first, line):
        row = COMMANDS[int((command.lastgroup or "")[3:])]
        words = list(_arguments(row, data, command.end(), last))
        first = words[-1][1] if words else command.end()
        for start, stop in _places(row, data, words):
            value = data[start:stop]
            if row.random and not (opaque(value, ids=True) or _TELLS.search(data, words[0][0], start)):
                continue
            if _declared(value):
                yield start, stop, _KIND


def _arguments(row: Command, data: bytes, start: int, last: int) -> Iterator[tuple[int, int]]:
    """The words of a command from `start` on, without their quotes, up to where another command begins."""
    expected = False
    for _ in range(_MOST):
        word = _WORD.match(data, start, last)
        if not word or _ENDS.match(word["word"]):
            return
        if row.leads and not expected and word["word"][:1] != b"-":
            return
        expected = word["word"] in row.takes
        yield _inner(data, *word.span("word"))
        start = word.end()


def _places(row: Command, data: bytes, words: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where secrets stand among a command's words."""
    if not words or not re.search(row.needs.encode(), data[words[0][0] : words[-1][1]]):
        return
    plain: list[tuple[int, int]] = []
    expected: _Takes | None = None
    for at, stop in words:
        text = data[at:stop]
        if expected:
            yield from _value(data, at, stop, expected)
            expected = None
        elif text in row.takes:
            expected = row.takes[text]
        elif (option := _OPTION.fullmatch(text)) and option["sign"] and option["name"] in row.takes:
            yield from _value(data, *_inner(data, at + option.start("value"), stop), row.takes[option["name"]])
        elif row.attached and text[:2] in row.takes and text[:1] == b"-" != text[1:2]:
            yield from _value(data, *_inner(data, at + 2, stop), row.takes[text[:2]])
        elif row.literals and b"=" in text and text[:1] != b"-":
            yield from _value(data, at, stop, "literal")
        elif text[:1] != b"-" and not (option and text[:1] == b"/"):
            plain.append((at, stop))
    yield from _placed(row, data, plain)


def _placed(row: Command, data: bytes, plain: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The word that is a secret by its place, unless the words are those of a sentence that goes on."""
    if row.place is None or not -len(plain) <= row.place < len(plain):
        return
    start, stop = plain[row.place]
    if plain[row.place] == plain[-1] or not _WORDY.match(data[start:stop]):
        yield start, stop


def _value(data: bytes, start: int, stop: int, takes: _Takes) -> Iterator[tuple[int, int]]:
    """The secret in an option's value."""
    if takes == "secret":
        yield start, stop
    elif takes != "other":
        name, sign, _ = data[start:stop].partition(b"=" if takes == "literal" else b":")
        if sign and not _PLAIN_NAMES.search(name):
            yield _inner(data, start + len(name) + 1, stop)


def _inner(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """A word without the quotes around it, and what follows those in a list or a sentence."""
    quoted = _QUOTED.fullmatch(data, start, stop)
    if quoted is None:
        return start, start + len(data[start:stop].rstrip(b";)`"))
    return quoted.span("in") if not quoted["head"] else (start, stop)


def _declared(value: bytes) -> bool:
    """Whether a value that a command takes for a secret is one, and no variable, mask or word of a sentence."""
    if len(value) < 2 or value in _KNOWN or _USAGE.fullmatch(value) or value.lower() in _PROSE:
        return False
    return value.startswith(b'{"') or not harmless(value)
