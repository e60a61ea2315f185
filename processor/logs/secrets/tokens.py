"""Formats of secrets, a row each: the name in the placeholder, what to look for in one pass, what to take out.

Sources are the providers' own documentation of their token formats. `trigger` is hyperscan syntax and cheap;
`regex` is Python's and exact, its group `s` the secret (or the whole match). Add a format by adding a row.
"""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.secrets.kinds import Secret

_SEP: Final = r"[\"']?[ \t]{0,4}(?:=>|:=|=|:)[ \t]{0,4}[\"']?"
_VALUE: Final = r"(?P<s>[^\s\"'`,;&|<>(){}\\]{4,4096})"
_LONG_VALUE: Final = r"(?P<s>[^\s\"'`,;&|<>(){}\\]{8,4096})"


def _token(name: str, literal: str, rest: str, *, before: str = r"(?<![0-9A-Za-z])") -> Secret:
    """A token that starts with `literal` (a regular expression both engines read alike)."""
    return Secret(name, literal, f"{before}{literal}{rest}")


SECRETS: Final[tuple[Secret, ...]] = (
    Secret(
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        "key-block",
    ),
    # Clouds
    _token("aws-key", r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}", r"(?![A-Z0-9])"),
    _token("gcp-key", r"AIza[0-9A-Za-z_-]{35}", ""),
    _token("gcp-oauth", r"(?:ya29\.|GOCSPX-|1//0)[0-9A-Za-z_-]{20}", r"[\w.-]*"),
    Secret(
        "azure-key",
        r"(?:AccountKey|SharedAccessKey|SharedSecret)=",
        r"(?:AccountKey|SharedAccessKey|SharedSecret)=(?P<s>[A-Za-z0-9+/=]{20,})",
    ),
    _token("azure-secret", r"[0-9A-Za-z_~.]{3}[78]Q~[0-9A-Za-z_~.-]{31}", r"[\w~.-]{0,3}", before=r"(?<![\w~.-])"),
    _token("digitalocean-token", r"do[opr]_v1_[0-9a-f]{64}", ""),
    _token("databricks-token", r"dapi[0-9a-f]{32}", r"(?:-\d)?"),
    _token("cloudflare-key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{20}", r"[0-9a-f]*"),
    _token("heroku-key", r"HRKU-[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("alibaba-key", r"LTAI[0-9A-Za-z]{12}", r"[0-9A-Za-z]{0,12}"),
    _token("tencent-key", r"AKID[0-9A-Za-z]{32}", ""),
    _token("flyio-token", r"(?:FlyV1 fm[12][ar]?_|fo1_)[0-9A-Za-z_+/=-]{20}", r"[\w+/=,-]*"),
    # Forges and CI
    _token("github-token", r"(?:gh[pousr]_[0-9A-Za-z]{20}|github_pat_[0-9A-Za-z_]{20})", r"\w*"),
    _token("gitlab-token", r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt|oas|ffct)-[0-9A-Za-z_-]{16}", r"[\w.-]*"),
    _token("gitlab-token", r"GR1348941[0-9A-Za-z_-]{20}", ""),
    _token("bitbucket-token", r"ATBB[0-9A-Za-z]{24}", r"\w*"),
    _token("atlassian-token", r"AT(?:ATT|CTT)3[0-9A-Za-z_=-]{40}", r"[\w=-]*"),
    _token("circleci-token", r"CC(?:IPAT|IPRJ)_[0-9A-Za-z]{16}_[0-9a-f]{20}", r"\w*"),
    _token("buildkite-token", r"bk(?:ua|at|ct|r)_[0-9A-Za-z]{32}", r"\w*"),
    _token("sonar-token", r"sq[upa]_[0-9a-f]{40}", ""),
    _token("gitea-token", r"gitea_[0-9a-f]{40}", ""),
    # Package registries
    _token("npm-token", r"npm_[0-9A-Za-z]{36}", ""),
    Secret(
        "npm-auth",
        r"_(?:authToken|auth|password)\b",
        r"_(?:authToken|auth|password)[\"']?\s{0,3}[=:]\s{0,3}[\"']?(?P<s>[^\s\"'${}<>*]{6,})",
        "opaque",
        caseless=True,
    ),
    _token("pypi-token", r"pypi-AgE[0-9A-Za-z_-]{50}", r"[\w-]*"),
    _token("crates-token", r"cio[0-9A-Za-z]{32}", r"(?!\w)"),
    _token("rubygems-token", r"rubygems_[0-9a-f]{48}", ""),
    _token("nuget-key", r"oy2[a-z0-9]{43}", r"(?!\w)"),
    _token("docker-token", r"dckr_(?:pat|oat)_[0-9A-Za-z_-]{20}", r"[\w-]*"),
    Secret("docker-auth", r"\"auth\": ?\"[A-Za-z0-9+/=]", r"\"auth\": ?\"(?P<s>[A-Za-z0-9+/=]{8,})\""),
    _token("jfrog-token", r"(?:AKCp[0-9A-Za-z]{60}|cmVmdGtu[0-9A-Za-z]{50})", r"\w*"),
    _token("hex-key", r"(?:clojars)_[0-9a-z]{60}", r"(?!\w)"),
    # Chat and mail
    _token("slack-token", r"(?:xox[abceoprs]-|xapp-\d-)[0-9A-Za-z-]{10}", r"[\w.-]*"),
    Secret(
        "slack-webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[\w/+-]{10,})",
    ),
    Secret(
        "discord-webhook",
        r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/",
        r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(?P<s>\d{5,}/[\w-]{20,})",
    ),
    Secret(
        "discord-token",
        r"[MNO][A-Za-z0-9_-]{23}[A-Za-z0-9_-]{0,2}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}",
        r"(?<![\w.-])[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w.-])",
        "opaque",
    ),
    Secret(
        "teams-webhook",
        r"webhook\.office\.com/webhookb2/|outlook\.office\.com/webhook/",
        r"office\.com/webhook(?:b2)?/(?P<s>[\w@/-]{20,})",
    ),
    _token("telegram-token", r"[0-9]{8,10}:AA[0-9A-Za-z_-]{32}", r"[\w-]?"),
    _token("sendgrid-key", r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16}", r"[\w-]*"),
    _token("mailgun-key", r"key-[0-9a-f]{32}", ""),
    _token("mailchimp-key", r"[0-9a-f]{32}-us[0-9]{1,2}", ""),
    _token("twilio-key", r"SK[0-9a-f]{32}", r"(?!\w)"),
    # Payment and software services
    _token("stripe-key", r"(?:[sr]k_(?:live|test)_|whsec_)[0-9A-Za-z]{14}", r"\w*"),
    _token("square-key", r"(?:sq0(?:atp|csp|idp)-|EAAA)[0-9A-Za-z_-]{22}", r"[\w-]*"),
    _token("shopify-token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", ""),
    _token("braintree-token", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}", ""),
    _token("openai-key", r"sk-(?:proj-|svcacct-|admin-)?[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("anthropic-key", r"sk-ant-[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("huggingface-token", r"(?:hf_|api_org_)[0-9A-Za-z]{30}", r"\w*"),
    _token("vault-token", r"hv[sbr]\.[0-9A-Za-z_-]{20}", r"[\w.-]*"),
    _token("terraform-token", r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60}", r"[\w=-]*"),
    _token("pulumi-token", r"pul-[0-9a-f]{40}", ""),
    _token("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z._-]{40}", r"\w*"),
    _token("grafana-token", r"gl(?:c|sa)_[0-9A-Za-z+/=_]{32}", r"[\w+/=]*"),
    _token("newrelic-key", r"NR(?:AK|JS|II|RA)-[0-9A-Za-z_-]{19}", r"[\w-]*"),
    _token("sentry-token", r"sntry[su]_[0-9A-Za-z+/=_-]{40}", r"[\w+/=-]*"),
    _token("linear-key", r"lin_(?:api|oauth)_[0-9A-Za-z]{32}", r"\w*"),
    _token("notion-token", r"(?:ntn_[0-9A-Za-z]{40}|secret_[0-9A-Za-z]{43})", r"\w*"),
    _token("postman-key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", ""),
    _token("figma-token", r"fig[dou]_[0-9A-Za-z_-]{30}", r"[\w-]*"),
    _token("tailscale-key", r"tskey-(?:auth|api|client|scim|webhook)-[0-9A-Za-z]{8,20}-[0-9A-Za-z]{16}", r"\w*"),
    _token("netlify-token", r"nfp_[0-9A-Za-z]{36}", r"\w*"),
    _token("supabase-key", r"sb(?:p_[0-9a-f]{40}|_secret_[0-9A-Za-z_-]{20})", r"[\w-]*"),
    _token("planetscale-token", r"pscale_(?:tkn|pw|oauth)_[0-9A-Za-z_.-]{30}", r"[\w.-]*"),
    _token("airtable-token", r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}", ""),
    _token("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", ""),
    _token("dynatrace-token", r"dt0[a-z]01\.[0-9A-Z]{24}\.[0-9A-Z]{64}", ""),
    _token(
        "rapid-token",
        r"(?:lntest|shippo_live|shippo_test|duffel_test|duffel_live|EZ[AT]K|dop|fnd|rdme|scw)_[0-9A-Za-z]{30}",
        r"\w*",
    ),
    _token("facebook-token", r"EAACEdEose0cBA[0-9A-Za-z]+", ""),
    _token("sourcegraph-token", r"sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}", ""),
    Secret("jwt", r"eyJ[A-Za-z0-9_-]{8}", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),
    # Ways of passing one
    Secret(
        "authorization",
        r"\b(?:authorization|x-api-key|x-auth-token|private-token|job-token|deploy-token|x-vault-token|x-amz-security-token|api-key|set-cookie|cookie)\b[\"']?\s?[:=]",
        r"(?:authorization|x-api-key|x-auth-token|private-token|job-token|deploy-token|x-vault-token|x-amz-security-token|api-key|set-cookie|cookie)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|token|digest|negotiate|apikey|ssws|aws4-hmac-sha256)\s{1,3})?(?P<s>(?!(?:bearer|basic|token|digest|negotiate|apikey|ssws|aws4-hmac-sha256)\b)[^\s\"'`<>(){}]{6,8192})",
        "password",
        caseless=True,
    ),
    Secret(
        "bearer",
        r"\b(?:bearer|basic) [A-Za-z0-9_.~+/-]{12}",
        r"\b(?:bearer|basic)\s{1,3}(?P<s>[A-Za-z0-9_.~+/-]{12,8192}={0,2})",
        "opaque",
        caseless=True,
    ),
    Secret(
        "url-password",
        r"[a-z0-9+.-]://[^\s/@:\"'<>]{0,200}:[^\s/@\"'<>]{1,400}@",
        r"[a-zA-Z][\w+.-]{1,30}://[^\s/@:\"'<>]{0,200}:(?P<s>[^\s@\"'<>]{1,400}?)@(?=[\w\[$<{*-])",
        "password",
        caseless=True,
    ),
    Secret(
        "url-token",
        r"://[A-Za-z0-9_.~-]{20,255}@",
        r"://(?P<s>[A-Za-z0-9_.~-]{20,255})@(?=[\w\[])",
        "opaque",
    ),
    Secret(
        "url-parameter",
        r"[?&](?:access_token|token|sig|signature|key|api_?key|apikey|secret|password|auth|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|client_secret|code|private_token|se_sig)=",
        r"[?&](?:access_token|token|sig|signature|key|api_?key|apikey|secret|password|auth|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|client_secret|code|private_token)=(?P<s>[^\s&\"'<>]{8,4096})",
        "opaque",
        caseless=True,
    ),
    Secret(
        "curl-user",
        r"\bcurl\b.*\s(?:-u|--user|--proxy-user)[ =]",
        r"\bcurl\b[^\n]{0,2000}?\s(?:-u|--user|--proxy-user)[ =][\"']?[^\s:\"']{1,100}:(?P<s>[^\s\"']{2,300})",
        "password",
    ),
    Secret(
        "option",
        r"--?(?:[a-z-]*password|[a-z-]*passwd|[a-z-]*secret|[a-z-]*token|[a-z-]*api-?key|passphrase|pass|storepass|keypass)[ =]",
        r"(?<![\w-])--?(?:[a-z-]{0,30}password|[a-z-]{0,30}passwd|[a-z-]{0,30}secret|[a-z-]{0,30}token|[a-z-]{0,30}api-?key|passphrase|pass|storepass|keypass)[ =][\"']?(?P<s>[^\s\"'-][^\s\"']{3,400})",
        "value",
        caseless=True,
    ),
    Secret(
        "login-password",
        r"\b(?:docker|podman|helm|skopeo|oras|buildah)\b.*\blogin\b.* -p ?",
        r"\blogin\b[^\n]{0,600}? -p[ =]?[\"']?(?P<s>[^\s\"']{3,400})",
        "password",
    ),
    Secret(
        "netrc",
        r"\bmachine\s+\S+\s+login\s+\S+\s+password\s",
        r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<s>\S{3,400})",
        "password",
    ),
    Secret(
        "password",
        r"(?:passw(?:or)?d|passphrase|pwd|_pass|secret|credentials?)[a-z0-9_.-]{0,20}[\"']?\s{0,4}(?:=|:)",
        r"[\w.-]{0,60}(?:passw(?:or)?d|passphrase|pwd|_pass|secret|credentials?)[\w.-]{0,20}" + _SEP + _VALUE,
        "password",
        caseless=True,
    ),
    Secret(
        "token",
        r"(?:token|api_?-?key|apikey|access_?-?key|auth_?-?key|private_?-?key|signing_?-?key|encryption_?-?key|account_?-?key|master_?-?key|session_?-?(?:key|id)|license_?-?key|client_?-?id_?-?secret|webhook(?:_url)?|_auth|_key|_pat|_dsn|_salt|_sid)[a-z0-9_.-]{0,20}[\"']?\s{0,4}(?:=|:)",
        r"[\w.-]{0,60}(?:token|api[_-]?key|apikey|access[_-]?key|auth[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|account[_-]?key|master[_-]?key|session[_-]?(?:key|id)|license[_-]?key|webhook(?:_url)?|_auth|_key|_pat|_dsn|_salt|_sid)[\w.-]{0,20}"
        + _SEP
        + _LONG_VALUE,
        "value",
        caseless=True,
    ),
)
"""Every kind that is looked for. Where two overlap, the one that stands first wins."""
