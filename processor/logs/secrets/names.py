"""What a name says about its value: `DB_PASSWORD`, `apiKey` and `X-Auth-Token` hold secrets, `cache_key` does not."""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

Holds = Literal["password", "token", "session", "key", "nothing"]
"""`password`: any value is secret. `token`: what looks random is. `session`: the same, less surely. `key`: what
can hardly be anything else, and no number in hexadecimal digits."""

TRIGGER: Final = (
    r"(?:passw|pass ?phrase|passcode|kennwort|[._-]pass\b|pwd|psw|[a-z_-]pw\b|\bpw[\"']?[=:]|secret|token"
    r"|[^a-z]cred(?:s|ential)|auth[^oe]|authoriz|key[\W_\d]|cookie[\"'\]]{0,2}[ \t]{0,2}[=:]|[._-]cookie"
    r"|session(?:_?id|_?key)?[\"'\]]{0,2}[ \t]{0,2}[=:|]|session_?id\b|sessid|[._-]sid\b|signature|[?&_]sig=|jwt|bearer"
    r"|crumb[\"']{0,2}[ \t]{0,2}[=:]"
    r"|[._-]pat\b|\bpat[=:]|_dsn|salt|[^a-z]t?otp\b|passin|psk|seed\b|webhook|ident\b|[._-]sas\b|_login\b|sonar\.login|reporter_id)"
)
"""Hyperscan, caseless: something in a line that may be part of such a name."""
SHORT_TRIGGER: Final = r"[Pp]ass[\"']{0,2}[ \t]{0,2}[=:]|[A-Z_]PASS[\"']{0,2}[ \t]{0,2}[=:]|\bPASS=[\"']?[^\s\d]"
"""The same for `pass`, which is a word of test runners where it stands alone and large."""

_WORDS: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORD: Final = re.compile(
    rb"passw(?:or)?d(?!s)|passphrase|passcode|^(?!by|com|tres|encom|under|over)[a-z]{0,12}pass$|pwd$|pswd?$|^[a-z]{0,8}pw$|secret(?!s)"
    rb"|^(?:wpa)?psk$|kennwort|^identified$"
)
_TOKEN: Final = re.compile(
    rb"token(?!s|iz|is|_)|apikey|authkey|accesskey|secretkey|privatekey|^jwt$|^bearer$|^pat$|passwords$|^secrets$"
    rb"|credentials?$|^creds?$|subscriptionkey|licensekey|^hapikey$|^sas$|^t?otp$|^mnemonic$|^psk$|^dsn$|^ident$"
)
_FILE: Final = re.compile(rb"\.(?:py|[jt]sx?|java|go|rs|rb|php|cs|kt|cc?|cpp|h|json|ya?ml|xml|toml|md|txt|sh)\b")
_SESSION: Final = re.compile(
    rb"^(?:auth|authorization|cookies?|session(?:id)?|sessid|jsessionid|sid|sig|signature|salt|seed|webhook|licen[cs]e|csrf"
    rb"|xsrf|crumb|login|hook)$"
)
_KEYS: Final = frozenset(
    b"api access secret private account auth master signing sign encryption encrypt decryption encoding storage "
    b"shared admin deploy ssh webhook hmac unseal subscription functions service client consumer integration "
    b"write record ingest host application app license server user project team org gpg pgp rsa tls ssl jwt "
    b"session recovery root data cluster registry publish stripe algolia sendgrid mailgun maps firebase twilio "
    b"datadog dd mandrill opsgenie wandb openai anthropic cohere heroku nuget rubygems pagerduty sauce "
    b"browserstack percy cypress azure aws gcp google s3 connection primary secondary function host devops bot "
    b"global routing gem npm pypi codecov snyk sentry memory".split()
)
NEUTRAL: Final = frozenset(
    b"cache cached restore public max min num count total unexpected prompt completion input output sort "
    b"partition foreign group lookup dedupe idempotency bucket object column row compound composite unique "
    b"index tokenizer unknown duplicate missing invalid expected translation i18n locale label feature flag "
    b"hash checksum digest integrity fingerprint etag sha sha1 sha256 sha512 md5 keyword known revoke policy "
    b"test tests spec".split()
)
"""Words with which a name, or a line, tells of no secret."""
_DESCRIPTION: Final = frozenset(
    b"file files path dir directory folder name names username type types kind url uri endpoint host port "
    b"expiry expires expiration expired ttl timeout lifetime duration algorithm alg algo header headers format "
    b"policy prefix suffix ref refs arn version length len size bits limit field fields hint prompt id ids "
    b"class method mode provider manager service store helper validator validation strength required enabled "
    b"disabled status state error errors usage rotation age attempts reset screen page view form test tests "
    b"spec suite handler callback factory builder parser generator source scope scopes count counter index "
    b"position offset interface impl exception resolver middleware util utils example template placeholder "
    b"description desc title label encoding env var variable hash digest fingerprint map list array set "
    b"iterator stream bucket buffer encoder decoder backend stdin".split()
)
_TOLD: Final[dict[bytes, Holds]] = {b"reporter_id": "token", b"erlang_cookie": "password"}
"""Names that no other word would tell of, by their end."""
_SECRET_IDS: Final = (b"session_id", b"secret_id")


@functools.lru_cache(maxsize=4096)
def holds(name: bytes) -> Holds:
    """What the value of a name such as `X-Api-Key` or `spring.datasource.password` is."""
    words = [word.lower() for word in _WORDS.findall(name[-120:])]
    while words and words[-1].isdigit():
        words.pop()
    if told := _TOLD.get(b"_".join(words[-2:])):
        return told
    if not words or name == b"PASS" or _FILE.search(name) or not NEUTRAL.isdisjoint(words):
        return "nothing"
    if words[-1] in _DESCRIPTION and b"_".join(words[-2:]) not in _SECRET_IDS:
        return "token" if words[-3:] == [b"private", b"key", b"id"] else "nothing"
    if words[-1] == b"secret" and b"existing" in words:  # the name of one, in charts of Helm
        return "nothing"
    if any(_PASSWORD.search(word) for word in words):
        return "password" if words[-2:] != [b"secret", b"id"] else "token"
    if any(_TOKEN.search(word) for word in words):
        return "token"
    for before, word in zip([b"", *words], words, strict=False):
        if word == b"key" and (before in _KEYS or (before and name.isupper())):
            return "token"
    if any(_SESSION.match(word) for word in words):
        return "session"
    return "key" if words[-1].endswith(b"key") else "nothing"
