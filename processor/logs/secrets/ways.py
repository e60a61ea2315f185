"""Ways of passing a secret that a name does not tell, or not alone: headers, addresses, commands, files.

A row each, as in `tokens`: a cheap trigger, the exact expression with the secret as its group `s`.
"""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.secrets.kinds import Secret

_SCHEME: Final = (
    r"(?:bearer|basic|token|digest|negotiate|ntlm|apikey|api-key|ssws|geniekey|key|oauth|hmac|aws4-hmac-sha256)"
)
_HEADERS: Final = (
    r"(?:(?:proxy-)?authorization|x-[a-z-]{0,40}(?:key|token|auth|secret|api|signature(?:-256)?|session|pat)|(?:private|job|deploy|circle|dd|nuget|gitlab|registry)-(?:api-?key|token|key)|api-key|apikey"
    r"|ocp-apim-subscription-key|(?:set-cookie2?|cookie)(?![\"']?\s{0,3}[:=]\s{0,3}[\w-]{1,40}$))"
)
_WORD: Final = r"(?P<q>[\"'])?(?P<s>(?(q)[^\"'\n]{2,8192}|[^\s\"']{2,8192}))"
"""A word of a command line."""

WAYS: Final[tuple[Secret, ...]] = (
    Secret(
        "authorization",
        r"(?:authorization|x-[a-z-]*(?:key|token|auth|secret|api|signature(?:-256)?|session|pat)|api-?key|(?:private|job|deploy|circle)-token|subscription-key|set-cookie2?|\bcookie)[\"']?\s?[:=]|authorization header",
        rf"\b{_HEADERS}(?: header)?\\?[\"']?\s{{0,3}}[:=]\s{{0,3}}\[?\\?[\"']?(?:{_SCHEME}\s{{1,3}}(?:[\w-]{{1,30}}=\\?[\"']?)?)?(?P<s>(?!{_SCHEME}\b)[^\s\"'`<>(){{}}\\]{{6,8192}})",
        "password",
        caseless=True,
    ),
    Secret(
        "authorization",
        r"\b(?:signature|response|oauth_signature|cnonce)=[\"']?[0-9A-Za-z+/%_-]{20}",
        r"\b(?:signature|response|oauth_signature)=[\"']?(?P<s>[\w+/%=-]{20,1024})",
        "opaque",
        caseless=True,
    ),
    Secret(
        "authorization",  # in a scheme of its own
        r"authorization[\"']?\s?[:=]",
        r"\bauthorization\\?[\"']?\s{0,3}[:=]\s{0,3}\[?\\?[\"']?[A-Za-z][\w.-]{1,30}\s{1,3}(?:[\w-]{1,30}=\\?[\"']?)?(?P<s>[^\s\"'`<>(){}\\,]{8,8192})",
        "parameter",
        caseless=True,
    ),
    Secret(
        "cookie",
        r"\b(?:set-)?cookie2?[\"']?\s?[:=]|(?:-b|--cookie)[ =]",
        r"(?:(?<=[:;=\s\"'])|(?<=\[))[\w.%-]{1,80}=(?P<s>[^\s;,\"'<>=]{8,8192}=?=?)(?=[\s;,\"']|$)",
        "opaque",
        caseless=True,
    ),
    Secret(
        "bearer",
        r"\b(?:bearer|basic|token|apikey) [A-Za-z0-9_.~+/-]{12}|oauth2-bearer",
        r"\b(?:bearer|basic|token|apikey)\s{1,3}(?P<s>[A-Za-z0-9_.~+/-]{12,8192}={0,2})",
        "opaque",
        caseless=True,
    ),
    Secret(
        "url-password",
        r"[a-z0-9+.-]://[^\s/@:\"'<>]{0,200}:[^\s/@\"'<>]{1,400}@",
        r"(?:[a-zA-Z][\w+.-]{1,30}://[^\s/@:\"'<>]{0,200}:(?P<s>[^\s@\"'<>]{1,400}?(?:@[^\s@/\"'<>]{1,100}(?=@))*)@(?=[\w\[$<{*-]))",
        "password",
        caseless=True,
    ),
    Secret(
        "dsn-password",
        r":[^\s@/]{2,120}@(?:tcp|unix)\(",
        r"[\w.-]{1,80}:(?P<s>[^\s@\"'<>/]{2,200})@(?:tcp|unix)\(",
        "password",
    ),
    Secret(
        "dsn-password",
        r"(?:sqlplus|thin:|rman|expdp|impdp).{0,60}/.{1,80}@",
        r"(?:sqlplus[ \w-]{0,30}|thin:|rman target |expdp |impdp )[ \"']?[\w.$#-]{1,60}/(?P<s>[^\s@\"']{2,120})@",
        "password",
    ),
    Secret(
        "url-token",
        r"://[A-Za-z0-9_.~-]{20,255}(?::[a-z-]{1,30})?@",
        r"://(?P<s>[A-Za-z0-9_.~-]{20,255})(?=(?::x-oauth-basic|:)?@[\w\[])",
        "opaque",
    ),
    Secret(
        "url-parameter",
        r"[?&#;](?:[a-z_-]*token|jwt|sig|signature|hmac|[a-z_-]*key|secret|[a-z_-]*secret|pass|passwd|password|pwd|auth|x-amz-(?:signature|credential|security-token)|x-goog-signature|code|hapikey|session[a-z_-]*|sid|st|ticket|credential|assertion)=",
        r"[?&#;](?:[a-z_-]{0,40}token|jwt|sig|signature|hmac|[a-z_-]{0,40}key|[a-z_-]{0,40}secret|auth|x-amz-(?:signature|credential|security-token)|x-goog-signature|code|hapikey|session[a-z_-]{0,20}|sid|st|ticket|credential|assertion)=(?P<s>[^\s&\"'<>#]{8,4096})",
        "parameter",
        caseless=True,
    ),
    Secret(
        "url-parameter",
        r"[?&](?:pass|passwd|password|pwd)=",
        r"[?&](?:pass|passwd|password|pwd)=(?P<s>[^\s&\"'<>#]{2,4096})",
        "password",
        caseless=True,
    ),
    Secret(
        "url-token",  # in its path
        r"/(?:t|tokens?|api-?key|auth|access[_-]token)/[0-9A-Za-z_-]{16}",
        r"://[^\s/\"'<>]{3,200}/(?:[^\s/\"'<>]{1,80}/){0,6}?(?:t|tokens?|api-?key|auth|access[_-]token)/(?P<s>[0-9A-Za-z_-]{16,400})(?![\w.-])",
        "parameter",
        caseless=True,
    ),
    Secret(
        "connection-key",
        r"(?:AccountKey|SharedAccessKey|SharedSecret|SharedAccessSignature|InstrumentationKey|ApiKey|;Secret)=",
        r"(?:AccountKey|SharedAccessKey|SharedSecret|SharedAccessSignature|InstrumentationKey|ApiKey|;Secret)=(?P<s>[^\s;\"'<>]{20,2048})",
        caseless=True,
    ),
    Secret(
        "connection-key",  # in the braces of ODBC
        r";\s?(?:pwd|password)\s?=\s?\{",
        r";\s?(?:pwd|password)\s?=\s?\{(?P<s>(?!\{)[^{}\n]{3,200})\}",
        "password",
        caseless=True,
    ),
    Secret(
        "xml-password",  # as Maven encrypts it
        r">\{[A-Za-z0-9+/]{22}",
        r">\{(?P<s>[A-Za-z0-9+/]{22,200}={0,2})\}<",
        "opaque",
    ),
    Secret(
        "connection-password",  # given to a function by its place
        r"\b(?:getConnection|PDO|__construct|(?:mysqli?|pg|oci|odbc|mssql|sqlsrv|ftp|imap|ldap)_\w{0,10}(?:connect|open|login|bind)|UsernamePasswordCredentials|PasswordAuthentication|NetworkCredential|sp_addlogin)\b",
        r"\b(?:(?:getConnection|PDO|__construct|(?:mysqli?|pg|oci|odbc|mssql|sqlsrv|ftp|imap|ldap)_\w{0,10}(?:connect|open|login|bind))\([^,()\n]{1,200},|(?:UsernamePasswordCredentials|PasswordAuthentication|NetworkCredential)(?:\]::new)?\(|\bsp_addlogin\s)\s?N?(?:[\"'][^\"'\n]{1,80}[\"']|\$?\w{1,40})\s?,\s?N?[\"'](?P<s>[^\"'\n]{3,200})[\"']",
        "password",
    ),
    Secret(
        "password",  # wrapped in a type of its own
        r"\b(?:Secret|SecretStr|SecretString|SecretValue|Password|Passphrase|ApiKey|Sensitive)\([\"'][^\"'\n]{4,200}[\"']\)",
        r"\b(?:Secret|SecretStr|SecretString|SecretValue|Password|Passphrase|ApiKey|Sensitive)\([\"'](?P<s>(?=[^\"'\n]{0,199}\d)[^\s\"']{6,200})[\"']\)",
        "password",
    ),
    Secret(
        "password",  # the new one, where both are shown
        r"(?:password|passwd|pwd|secret|token|_key)[\"']?\s{0,9}[=:]\s{0,3}\S{1,200} -> [\"']",
        r"(?:password|passwd|pwd|secret|token|_key)[\"']?\s{0,9}[=:]\s{0,3}\S{1,200} -> [\"'](?P<s>[^\"'\n]{3,4096})[\"']",
        "password",
        caseless=True,
    ),
    Secret(
        "password",  # in other languages than English
        r"contraseña|contrasena|senha|de passe|de_passe|wachtwoord|lösenord|hasło|пароль|密码|密碼|口令|パスワード|비밀번호",
        r"(?:contrase(?:ñ|n)a|senha|mot[_ -]?de[_ -]?passe|wachtwoord|lösenord|hasło|пароль|密码|密碼|口令|パスワード|비밀번호)[\"']?\s?(?:[:=]|：)\s?[\"']?(?P<s>[^\s\"',;]{4,200})",
        "password",
    ),
    Secret(
        "curl-user",
        r"\bcurl(?:\.exe)? |\bhttps? -a |\bxh -a ",
        r"\b(?:curl|http|https|xh)\b[^\n]{0,400}?\s(?:-[a-zA-Z]{0,8}[uUaE]|--user|--proxy-user|--auth|--cert)[ =]?(?P<q>[\"'])?[\w.@%+/-]{0,100}:(?P<s>(?(q)[^\"'\n]{2,300}|[^\s\"']{2,300}))",
        "password",
    ),
    Secret(
        "user-password",  # of any tool
        r"\s(?:-u|--user|--userpass|--auth|--basic-auth|--login)[ =][\"']?[\w.@-]{1,60}:[^\s:]",
        r"(?<=\s)(?:-u|--user|--userpass|--auth|--basic-auth|--login)[ =][\"']?(?P<u>[\w.@-]{1,60}):(?!(?P=u)\b)(?P<s>(?=\S{0,60}[^a-z_\s-])[^\s\"'/:]{4,200})(?=[\s\"']|$)",
        "password",
    ),
    Secret(
        "command-password",  # put where a name was
        r"\bs[/|#@,][^\s/|#@,]{0,60}(?:pass|secret|token|key|pwd)[^\s/|#@,]{0,30}[/|#@,]\S",
        r"\bs(?P<d>[/|#@,])[^\s/|#@,]{0,60}(?:pass|secret|token|key|pwd)[^\s/|#@,]{0,30}(?P=d)(?P<s>(?:(?!(?P=d))\S){4,400})(?P=d)",
        "password",
        caseless=True,
    ),
    Secret(
        "command-token",
        r"\s-p(?:at)? [\"']?[0-9a-z-]{32}",
        r"(?<=\s)-p(?:at)? [\"']?(?P<s>[0-9a-z-]{32,200})(?=[\s\"']|$)",
        "parameter",
    ),
    Secret(
        "login-password",
        r"\blogin .{0,200}-p|--(?:src-|dest-)?creds[ =]|\btwine upload |\bconan user |\bnuget sources |\b(?:az|ibmcloud) .{0,60} -p ",
        r"\b(?:docker|podman|nerdctl|helm|skopeo|oras|buildah|crane|az|oc|cf|conan|twine|ibmcloud|cloudctl|argocd|rancher|vault|gcloud)\b[^\n]{0,600}?\s(?:-p|-?-password(?!-))[ =]?"
        + _WORD,
        "password",
    ),
    Secret(
        "credentials",
        r"--(?:src-|dest-)?creds[ =]|--credentials?[ =]|--auth[ =]|-credential |login with |\bcredentials?(?:: |=| are )|\bcreds?(?:: |=| are )|\bbundle config |\bBUNDLE_\w+[:=]",
        r"(?:--(?:src-|dest-)?creds|--credentials?|--auth|-credential|\blogin with|\bcredentials?:?(?: are)?|\bcreds?:?(?: are)?|\bbundle config (?:set )?(?:--\w{1,20} )?[^\s=:]{1,80}|\bBUNDLE_\w{1,80}:?)[ =][\"']?[\w.@-]{1,80}:(?P<s>[^\s\"'/]{3,300})",
        "password",
        caseless=True,
    ),
    Secret(
        "database-password",
        r"\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb|mongo|mongosh|mongodump|mongorestore|redis-cli|sqlcmd|bcp|ldapsearch|ldapadd|ldapmodify|ldapwhoami|7za?|zip|unzip|signtool|altool|unlock-keychain|security import)[\"']?,? ",
        r"\b(?:(?:mysql|mariadb)[\w-]{0,10}[\"']?,? [^\n]{0,300}?-p|security import [^\n]{0,300}?-P |7za? [^\n]{0,200}?-p|mongo\w{0,10} [^\n]{0,300}?-p ?|redis-cli [^\n]{0,200}?-a |(?:sqlcmd|bcp) [^\n]{0,300}?-P ?|ldap\w{1,12} [^\n]{0,300}?-w |(?:un)?zip [^\n]{0,100}?-P |signtool [^\n]{0,200}?/p |(?:unlock-keychain|altool) [^\n]{0,300}?-p )(?:(?<=[\s\"'][-/][pPaw])|(?<=\s[-/][pPaw] ))"
        + _WORD,
        "password",
    ),
    Secret(
        "command-password",
        r"\blftp |\bsmbclient |\bnet use |\bpass:|--passphrase[ =]|\brequirepass |\bmasterauth |pass -?\S|\bbindpw |\brootpw |<\(echo |\bexpect: send|\bsend '|\bsend \"|\bsend -- |\bhttp-basic|-(?:src|dest)?(?:store|key)pass|\+login |-setcookie |\bcf auth |travis encrypt |nuget push ",
        r"(?:\blftp\b[^\n]{0,100}?\s-u[ ][\w.@-]{1,60},|\bsmbclient\b[^\n]{0,200}?\s-U[ ][\w.@\\-]{1,60}%|\bnet use\b[^\n]{0,200}?\\\S{1,200}\s|\bpass:|--passphrase[ =]|\b(?:requirepass|masterauth|bindpw|rootpw)[ ](?:--iscrypted )?|-(?:src|dest)?(?:store|key)pass[ =]|<\(echo (?:-n )?|expect: send |\bsend (?:-- )?(?=[\"'][^\s\"']{0,60}\d[^\s\"']{0,60}\\{1,2}[rn][\"'])|\+login [\w.@-]{1,60} |-setcookie |\bcf auth [\w.@-]{1,60} |\btravis encrypt (?!-)|\bnuget push [^\s-]\S{0,200} (?=[0-9A-Za-z_.-]{20})|\bhttp-basic[.\w-]{0,60}\s\S{1,60}\s)"
        r"(?P<q>[\"'])?(?P<s>(?(q)[^\"'\n]{2,400}|[^\s\"')\\]{2,400}))",
        "password",
    ),
    Secret(
        "command-password",
        r"\+ (?:echo|printf) (?:-n )?\S{6,200} ?\r?$",
        r"\+ (?:echo|printf) (?:-n )?[\"']?(?P<s>[^\s\"']{6,200})[\"']?[ ]?\r?\n[^\n]{0,200}(?:-stdin\b|\bchpasswd\b|\bpasswd\b|\bsudo -S\b)",
        "password",
        lines=1,
    ),
    Secret(
        "command-password",  # a here-string
        r"<<< ?[\"']?\S",
        r"(?:-stdin\b|\bchpasswd\b|\bpasswd\b|\bsudo -S\b|\blogin\b|\bsecrets?\b|\benv add\b|\bkinit\b|\bunlock\b)[^\n]{0,200}?<<<\s?(?P<q>[\"'])?(?:[\w.-]{1,60}:)?(?P<s>(?(q)[^\"'\n]{2,400}|[^\s\"')]{2,400}))",
        "password",
    ),
    Secret(
        "command-password",  # the same to any tool
        r"\w <<< ?[\"']?[A-Za-z0-9]{6}",
        r"(?<=\w )<<<\s?[\"']?(?P<s>[^\s\"'():]{12,400})[\"']?[ \t]*$",
        "opaque",
    ),
    Secret(
        "xml-password",
        r"<(?:[\w-]+:)?[\w-]{0,40}(?:password|passphrase|secret|token)\s[^<>]{1,200}>[^<\s]",
        r"<(?:[\w-]{1,40}:)?[\w-]{0,40}(?:password|passphrase|secret|token)\s[^<>\n]{1,200}>(?P<s>[^<\n]{2,4096})<",
        "password",
        caseless=True,
    ),
    Secret(
        "url-password",  # with a slash in it
        r"(?:redis|rediss|amqps?|sql|postgres|mongodb(?:\+srv)?|mariadb|clickhouse)://[^\s/@:\"'<>]{0,60}:[^\s@\"'<>]{1,200}@",
        r"\b(?:rediss?|amqps?|postgres|postgresql|mysql|mariadb|mongodb|clickhouse)(?:\+\w{1,12})?://[^\s/@:\"'<>]{0,60}:(?!\d+/)(?P<s>[^\s@\"'<>]{1,200})@(?=[\w\[])",
        "password",
        caseless=True,
    ),
    Secret(
        "command-password",
        r"\| ?(?:sudo|docker|podman|helm|oras|chpasswd|gh auth|passwd|openssl|gpg|buildah|nerdctl|az|crane) ?",
        r"\b(?:echo|printf)\s(?:-n?e?n?\s|'%s'\s|\"%s\"\s)?[\"']?(?:[\w.-]{1,60}:)?(?P<s>[^\s\"'|:$]{3,400})[\"']?\s{0,3}\|\s{0,3}(?:sudo\s)?(?:docker|podman|helm|oras|chpasswd|gh|passwd|openssl|gpg|buildah|nerdctl|az|crane|-S)",
        "password",
    ),
    Secret(
        "command-password",  # into whatever takes a secret from its input, or keeps one
        r"\b(?:echo|printf) \S[^\n]{2,200}(?:\||>) ?\S",
        r"\b(?:echo|printf)\s(?:-n?e?n?\s|'%s'\s|\"%s\"\s)?(?P<q>[\"'])?(?P<s>(?(q)[^\"'\n|$]{3,400}|[^\s\"'|$]{3,400}))(?(q)(?P=q))\s{0,3}(?:\||>)(?=[^\n|>]{0,120}?(?:secret|passw|\bpass\b|\blog-?in\b|\bauth\b|token|-stdin\b|\bkinit\b|credential|vault|\benv add\b|keychain|\bunlock\b))",
        "password",
    ),
    Secret(
        "command-password",  # with signs in it that are none of a port's, a folder's or a project's name
        r"\s-(?:p|P|w|W|pw) [\"']?[^\s\"'/]{4,60}[!@#$%^&*?]",
        r"(?<=\s)-(?:p|P|w|W|pw) (?P<q>[\"'])?(?P<s>(?=\S{0,60}[a-z])(?=\S{0,60}[A-Z])(?=\S{0,60}\d)(?=\S{0,60}[!@#$%^&*?])[^\s\"'/\\=:,;(){}\[\]<>|]{8,64})(?(q)(?P=q))(?=\s|$)",
        "password",
    ),
    Secret(
        "command-password",
        r"\s-(?:K|iv) [0-9A-Fa-f]{32}",
        r"(?<=\s)-(?:K|iv) (?P<s>[0-9A-Fa-f]{32,128})",
    ),
    Secret(
        "command-password",
        r"\bopenssl .{0,200} -(?:k|pass) \S",
        r"\bopenssl\b[^\n]{0,200}?\s-k\s" + _WORD,
        "password",
    ),
    Secret(
        "command-password",  # of any tool, unless what `-p` goes with is a port or a folder, or a database to ask for its password
        r"\s(?:-[uUl]|--user(?:name)?|--login)[ =]\S{1,80} (?:-p|-P|-pw|--pass)[ =]\S",
        r"^(?![^\n]{0,4000}\b(?:mysql|mariadb|psql|ssh|scp|sudo)\b)[^\n]{0,4000}?\s(?:-[uUl]|--user(?:name)?|--login)[ =]\S{1,80} (?:-p|-P|-pw|--pass)[ =]"
        r"[\"']?(?P<s>(?![\d.:]+(?:/\w+)?(?:\s|$))[^\s\"'/][^\s\"']{1,8192})",
        "password",
    ),
    Secret(
        "command-password",  # as Windows has options
        r"(?:-u|/u|-user|/user|-username|/username):\S{1,80} [-/]p",
        r"\s[-/](?:u|user|username):\S{1,80} [-/](?:p|pass|password|pwd):[\"']?(?P<s>[^\s\"']{2,400})",
        "password",
        caseless=True,
    ),
    Secret(
        "command-password",  # of FTP, POP3 and IMAP, as a client shows what it sends
        r"-> PASS \S|C: PASS \S|^> PASS \S|\d LOGIN \S|AUTHENTICATE XOAUTH2|:IDENTIFY ",
        r"(?:(?:-> |C: |^> )PASS |\b[A-Za-z]{0,4}\d{1,5} LOGIN \S{1,80} |AUTHENTICATE XOAUTH2 |NickServ :IDENTIFY )(?P<s>[^\s/]{4,4096})[ \t]*\r?$",
        "password",
    ),
    Secret(
        "secure-string",
        r"\bConvertTo-SecureString\s",
        r"\bConvertTo-SecureString\s+(?:-(?:String|AsPlainText|Force)\s+){0,3}(?P<q>[\"'])?(?P<s>(?(q)[^\"'\n]{2,400}|[^\s\"'()|-][^\s\"'()|]{1,400}))",
        "password",
        caseless=True,
    ),
    Secret(
        "mnemonic",
        r"(?:mnemonic|(?:seed|recovery|backup)[ _-]?(?:phrase|words))[\"']?\s?[=:]",
        r"(?:mnemonic|(?:seed|recovery|backup)[ _-]?(?:phrase|words))[\"']?\s?[=:]\s{0,3}[\"']?(?P<s>(?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8})",
        caseless=True,
    ),
    Secret(
        "command-token",
        r"\b(?:cargo login|vault login|snyk auth|ngrok (?:config )?a|flyctl auth|netlify |heroku auth|doctl auth|setapikey|poetry config|composer config|npm config|yarn config|pnpm config|gh auth|codecov |bash <\(curl|gem push|nuget push|github-oauth|codecovcli |transifex |anaconda )",
        r"(?:\b(?:cargo|vault|snyk|ngrok|flyctl|netlify|heroku|doctl|nuget|poetry|composer|npm|yarn|pnpm|gh|firebase|codecov|codecovcli|transifex|anaconda|k6|gem|dotnet|bash)\b[^\n]{0,120}?\s(?:login|auth|authtoken|add-authtoken|auth[ :]token|auth init -t|set[Aa]pi[Kk]ey|pypi-token[.\w-]{0,30}|github-oauth[.\w-]{0,40}|\S{0,60}_auth(?:Token)?|npmAuthToken|--key|-k|-t|--auth)(?:\s|=|\s<<<\s)|github-oauth\"?: ?\{\"?[\w.]+\"?: ?)"
        r"[\"']?(?!-)(?P<s>[^\s\"']{6,400})",
        "parameter",
        caseless=True,
    ),
    Secret(
        "command-token",  # the same of any tool
        r"\b(?:login|auth|authenticate|activate|unlock)[ \t](?:--?[a-z-]{1,30}[ =])?[\"']?[A-Za-z0-9_.-]{16}",
        r"(?<![\w-])[a-z][\w.-]{1,30}(?:\s[a-z][\w.-]{1,30})?\s(?:login|auth|authenticate|activate|unlock)\s(?:--?[a-z-]{1,30}[ =])?[\"']?(?P<s>[A-Za-z0-9_.-]{16,400})(?=[\s\"']|$)",
        "parameter",
    ),
    Secret(
        "command-token",
        r"\s--?(?:api|auth|key|access|login|serial)[ =][\"']?[A-Za-z0-9_.-]{16}",
        r"(?<=\s)--?(?:api|auth|key|access|login|serial)[ =][\"']?(?P<s>[A-Za-z0-9_.-]{16,400})(?=[\s\"']|$)",
        "parameter",
    ),
    Secret(
        "netrc",
        r"\bmachine[ \t]+\S+[ \t]*(?:\r?$|[ \t](?:\S{1,40}[ \t]+){0,3}(?:login|account|password)\s)|\blogin \S+ password \S",
        r"(?:\bmachine\s+\S+\s+(?:(?:\S{1,40}\s+){0,3}?(?:login|account)\s+\S+\s+(?:\S{1,80}\s+){0,9}?|(?:[\w.:+\[\]-]*\d[\w.:+\[\]-]*\s+)?)|\blogin\s+\S{1,200}\s+)password\s+(?P<s>\S{3,400})(?=\s|$)",
        "password",
        lines=3,
    ),
    Secret(
        "pgpass",
        r":(?:5432|5433|6432|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:\S",
        r"(?:^|(?<=\s))[\w.*-]{1,100}:(?:\d{4,5}|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:(?P<s>[^\s:]{4,200})(?=\s|$)",
        "password",
    ),
    Secret(
        "docker-auth",
        r"\"auth\"\s?:\s?\"[A-Za-z0-9+/=]",
        r"\\?\"auth\\?\"\s{0,3}:\s{0,3}\\?\"(?P<s>[A-Za-z0-9+/=]{8,4096})",
    ),
    Secret(
        "npm-auth",
        r":_(?:authToken|auth|password)\b|^_auth\b|\b_auth\s?=|npmAuth",
        r"(?:(?:\b|:)_(?:authToken|auth|password)|npmAuth(?:Token|Ident))[\"']?(?:\s{0,3}[=:]\s{0,3}|\s)[\"']?(?P<s>[^\s\"'${}<>*]{6,})",
        "opaque",
        caseless=True,
    ),
    Secret(
        "sql-password",
        r"\bidentified (?:with \S+ )?by |\bpassword[ =]{1,3}['\"]|\benable (?:secret|password) |^\s{0,40}AUTH \S|Z AUTH \S",
        r"(?:identified\s+(?:with\s+\S{1,40}\s+)?by\s+(?:password\s+)?|password\s{0,3}=?\s{0,3}(?=['\"])|enable (?:secret|password)\s(?:\d\s)?|(?:^|Z)\s{0,40}(?-i:AUTH)\s)(?P<q>['\"])?(?P<s>(?(q)[^'\"\n]{2,200}|[^\s'\";]{2,200}))",
        "password",
        caseless=True,
    ),
    Secret(
        "user-password",
        r"(?:auth|creds?|credentials?|login|authenticate)[\"']?\s?[=:]?\s?[(\[]\s?[\"']",
        r"(?:(?:auth|creds?|credentials?|basic_auth|login|authenticate)[\"']?\s{0,3}[=:]?\s{0,3}[(\[]\s{0,3}[\"'][^\"'\n]{1,80}[\"']\s{0,3},\s{0,3}[\"'](?P<s>[^\"'\n]{2,200})[\"'])",
        "password",
        caseless=True,
    ),
    Secret(
        "user-password",
        r"(?:user|login|username)(?:name)?\s?/\s?pass(?:word)?\s?[=:]",
        r"(?:user|login|username)(?:name)?\s?/\s?pass(?:word)?\s?[=:]\s?[\w.@-]{1,60}\s?/\s?(?P<s>[^\s\"',;]{2,200})",
        "password",
        caseless=True,
    ),
    Secret(
        "bundler-credentials",
        r"\bBUNDLE_\w+[:=]",
        r"\bBUNDLE_\w{1,80}[:=]\s?[\"']?(?P<s>[^\s\"']{12,300})",
        "parameter",
    ),
    Secret(
        "password-below",
        r"password[^\n:]{0,60}:[ \t]*\r?$",
        r"password[^\n:]{0,60}:[ \t]*\r?\n(?:[^\n]{0,60}\n)?(?:[^\n]{0,60}[ \t])?(?P<s>\S{8,200})[ \t]*(?=\r?\n|$)",
        "opaque",
        caseless=True,
        lines=2,
    ),
    Secret(
        "masked-by-command",
        r"::add-mask::|setsecret",
        r"(?:::add-mask::|##vso\[task\.setsecret\])(?P<s>[^\s*]{3,4096})",
    ),
)
"""Every way. Where two overlap, the one that stands first wins."""
