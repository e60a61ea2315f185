"""More ways of passing a secret: in the path of an address, to a function that sets it, in an address that is encoded.

A row each, as in `ways`, behind which they stand.
"""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.secrets.kinds import Secret

_LEADS: Final = (
    r"(?:inputs?|verify|verification|confirm(?:ation)?|activate|activation|magic(?:-?links?)?|invit(?:e|ation)s?|reset(?:-password)?"
    r"|unsubscribe|heartbeat|ping|receiver|ingest|collect(?:or)?|build[_-]hooks?|deploy[_-]?hooks?|triggers?|rss|feeds?|ical|calendar"
    r"|private|shared|sso|register|secrets?|callback|notify|send|alerts?|events?|bot|v\d/input|v1/http|input/v1|login|d|s|u|p)"
)
"""What stands before a secret in the path of an address."""
_NAMES: Final = r"(?:passw(?:or)?d|passphrase|secret(?:[_-]?key)?|(?:api|access|auth|private|secret)[_-]?(?:key|token)|token|credentials?)"

FURTHER: Final[tuple[Secret, ...]] = (
    Secret(
        "url-token",  # in its path, behind what tells of one
        rf"/{_LEADS}/[0-9A-Za-z_-]{{16}}",
        rf"https?://[^\s/\"'<>]{{3,200}}/(?:[^\s/\"'<>]{{1,80}}/){{0,6}}?{_LEADS}/(?P<s>(?=[^\s/]{{0,40}}\d)[0-9A-Za-z_-]{{16,400}}={{0,2}})(?![\w.%-])",
        "parameter",
        caseless=True,
    ),
    Secret(
        "url-token",  # of services whose addresses are secrets
        r"//(?:hc-ping\.com|smee\.io|webhook\.site|hook\.[\w.]{1,20}make\.com|[\w-]{1,40}\.m\.pipedream\.net|hooks\.[\w.-]{3,60}|dl\.cloudsmith\.io|ntfy\.sh|requestbin\.[a-z]{2,6}|[\w-]{1,60}\.execute-api\.[\w.-]{3,60})/[\w-]{8}",
        r"//(?:hc-ping\.com|smee\.io|webhook\.site|hook\.[\w.]{1,20}make\.com|[\w-]{1,40}\.m\.pipedream\.net|hooks\.[\w.-]{3,60}|dl\.cloudsmith\.io|requestbin\.[a-z]{2,6})/(?:[a-z]{2,12}/){0,3}(?P<s>[\w-]{12,200}(?:/[\w-]{8,200}){0,3})",
        "parameter",
    ),
    Secret(
        "url-password",  # of an address that is encoded
        r"%3A(?:%2F|/){2}[^\s&\"'<>%]{0,80}%3A",
        r"%3A(?:%2F|/){2}[^\s&\"'<>%@:]{0,80}%3A(?P<s>[^\s&\"'<>]{1,400}?)%40",
        caseless=True,
    ),
    Secret(
        "password",  # given to a function that sets or takes it
        rf"{_NAMES}\(\s?\\?[\"'][^\"'\n]{{4,200}}[\"']\s?[,)]",
        rf"\b(?:set|with|using|use|add|put|provide|new|create|update|change|reset|check|from)?\w{{0,30}}{_NAMES}\(\s?\\?[\"'](?P<s>(?=[^\"'\n]{{0,199}}\d)[^\s\"'\\]{{6,200}})\\?[\"']\s?[,)]",
        "password",
        caseless=True,
    ),
    Secret(
        "password",  # alone on its line, below the word alone on its own
        r"^[^\n]{0,40}\b(?:password|passphrase)[ \t]*\r?$",
        r"^(?:[^\n]{0,40}[^\w\n])?(?:password|passphrase)[ \t]*\r?\n(?:[^\n]{0,60}[ \t])?(?P<s>(?=\S{0,199}\d)\S{8,200})[ \t]*(?=\r?\n|$)",
        "opaque",
        caseless=True,
        lines=1,
    ),
    Secret(
        "command-password",  # behind the name of a user
        r"\blogin \w[\w.@-]{1,60} \S|^\s{0,40}AUTH \S{1,60} \S|/user:\S{1,60} \S|\bAUTH default \S",
        r"(?:\+ (?:[\w./-]{1,60} )?login \w[\w.@-]{1,60}|\bAUTH default|\bnet use\b[^\n]{0,200}?/user:\S{1,60})[ ](?P<s>(?!-)[^\s\"'/]{4,200})[ \t]*\r?$",
        "password",
    ),
    Secret(
        "command-password",  # of tools that are few's
        r"\b(?:isql|knife|vsql|cypher-shell|cqlsh|freebcp|tsql|nzsql|evil-winrm|winrs|psexec|ipmitool|racadm|smbmap|ldappasswd|beeline) |\bdb2 connect|\.logon |/PASSWORD:",
        r"(?:\b(?:isql|freebcp|tsql|evil-winrm|ipmitool)\b[^\n]{0,200}?\s-P ?|\b(?:vsql|nzsql|ldappasswd)\b[^\n]{0,200}?\s-[wWs] |\b(?:knife|cypher-shell|cqlsh|beeline|winrs|psexec|racadm|smbmap)\b[^\n]{0,200}?\s-[pP] |\bdb2 connect to \S{1,60} user \S{1,60} using |\.logon \S{1,60},|/PASSWORD:)(?P<q>[\"'])?(?P<s>(?(q)[^\"'\n]{3,200}|[^\s\"']{3,200}))",
        "password",
        caseless=True,
    ),
    Secret(
        "token",  # formats without a row of their own: long, and of a prefix that nothing else has
        r"SWMKEY-1-[\w+/-]{30}|nsec1[0-9a-z]{30}|DO00[A-Z0-9]{16}|NKEY.{0,40}S[UAONCX][A-Z2-7]{30}",
        r"(?<![\w-])(?:SWMKEY-1-[\w+/-]{30,80}|S[UAONCX][A-Z2-7]{50,60}|nsec1[0-9a-z]{50,70}|DO00[A-Z0-9]{16})(?!\w)",
    ),
    Secret(
        "token",  # a key of a product
        r"\b(?:serial|licen[cs]e|activation|product|backup|recovery)\b.{0,30}\b[0-9A-Za-z]{4,6}(?:-[0-9A-Za-z]{4,6}){1}",
        r"\b(?:serial|licen[cs]e|activation|product|backup|recovery)\b[^\n]{0,30}?[\s=:\"'](?P<s>(?=[\w-]{0,40}\d)(?:[0-9A-Z]{4,6}(?:-[0-9A-Z]{4,6}){3,5}|[0-9a-f]{5}-[0-9a-f]{5}))(?![\w-])",
        caseless=True,
    ),
    Secret(
        "token",  # a number in hexadecimal digits behind what tells of its being one
        r"\b(?:seed|hmac|signing|private|shared|master|encryption|pre-?shared)\b.{0,30}[^0-9a-zA-Z][0-9a-fA-F]{32}",
        r"\b(?:seed|hmac|signing|private|shared|master|encryption|pre-?shared)\b(?:[ \t]?[=:]?[ \t]?[\"']?|[ \t]\w{1,12}[=: \t]{1,3}[\"']?(?:hex[=: ]{1,3})?)(?P<s>(?:[0-9a-fA-F]{32}){1,4})(?![\w/.-])",
        caseless=True,
    ),
    Secret(
        "assigned-value",  # what a file of keys holds, in base64
        r"(?:KEYSTORE|keystore|P12|p12|PFX|pfx|BASE64|Base64|_B64|_b64|CERT|SIGNING|KUBECONFIG|PROFILE)\w{0,20}[\"']?[=:] ?[\"']?[A-Za-z0-9+/]{64}",
        r"\b\w{0,60}(?:KEYSTORE|keystore|P12|p12|PFX|pfx|BASE64|Base64|_B64|_b64|SIGNING|KUBECONFIG|PROFILE)\w{0,20}[\"']?[=:] ?[\"']?(?P<s>(?!LS0tLS1CRUdJTiBDRVJU|data:)[A-Za-z0-9+/]{64,16384}={0,2})",
    ),
)
"""Every further way. Where two overlap, the one that stands first wins."""
