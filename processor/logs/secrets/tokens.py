"""Formats of tokens, a row each: the name in the placeholder, what to look for in one pass, what to take out.

Sources are the providers' own documentation of their token formats. `trigger` is hyperscan syntax and cheap;
`regex` is Python's and exact, its group `s` the secret (or the whole match). Add a format by adding a row.
"""

from __future__ import annotations

from typing import Final

from processor.logs.secrets.kinds import Secret

_BEFORE: Final = r"(?:(?<![0-9A-Za-z])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])|(?<=[\[;\d]\dm))"
"""A token begins where no other word runs into it, but for escapes such as `\\n`, `%3D` and what is left of colours."""


def _token(name: str, literal: str, rest: str, *, before: str = _BEFORE) -> Secret:
    """A token that starts with `literal` (a regular expression both engines read alike)."""
    return Secret(name, literal, f"{before}{literal}{rest}")


TOKENS: Final[tuple[Secret, ...]] = (
    Secret(
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        "key-block",
    ),
    Secret(
        "private-key",  # of which a log has the end alone
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        "key-end",
    ),
    Secret(
        "private-key",
        r"\bPrivate-Lines: \d",
        r"\bPrivate-Lines: \d{1,3}[ \t]*\r?\n"
        r"(?P<s>(?:(?:[^\n]{0,60}[ \t|])?[A-Za-z0-9+/]{16,64}={0,2}[ \t]*(?:\r?\n|\Z)){1,80})",
        lines=80,
    ),
    # Clouds
    _token("aws-key", r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}", r"(?![A-Z0-9])"),
    _token("amazon-token", r"amzn\.mws\.[0-9a-f]{8}-[0-9a-f-]{27}", ""),
    _token("gcp-hmac-key", r"GOOG(?:1E)?[0-9A-Z]{20}", r"[0-9A-Z]*"),
    _token("hubspot-token", r"pat-(?:na|eu|ap)[0-9]-[0-9a-f]{8}-[0-9a-f-]{27}", ""),
    Secret("newrelic-key", r"[0-9a-f]{32}NRAL", r"(?:[a-z]{2}\d\d[x]{2})?[0-9a-f]{32,40}NRAL"),
    _token("gcp-key", r"AIza[0-9A-Za-z_-]{35}", ""),
    _token("gcp-oauth", r"(?:ya29\.(?:[a-z]\.)?|GOCSPX-|1//0)[0-9A-Za-z_-]{20}", r"[\w.-]*"),
    Secret(
        "azure-key",
        r"(?:AccountKey|SharedAccessKey|SharedSecret)=",
        r"(?:AccountKey|SharedAccessKey|SharedSecret)=(?P<s>[A-Za-z0-9+/=]{20,})",
    ),
    Secret(
        "azure-key",  # of the services that sign their keys
        r"(?:\+(?:ACR|ASt|AEh|ASb|ABa|AMC|ARm)|A(?:CDb|IoT|PIM|z(?:Ca|Fu|Se)))[A-Za-z0-9+/]{4}",
        r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{33,80}(?:\+(?:ACR|ASt|AEh|ASb|ABa|AMC|ARm)|A(?:CDb|IoT|PIM|z(?:Ca|Fu|Se)))"
        r"[A-Za-z0-9+/_-]{4,8}(?:={1,2}|(?![\w+/=-]))",
        "opaque",
    ),
    _token("azure-secret", r"[0-9A-Za-z_~.]{3}[78]Q~[0-9A-Za-z_~.-]{31}", r"[\w~.-]{0,3}", before=r"(?<![\w~.-])"),
    _token("digitalocean-token", r"do[opr]_v1_[0-9a-f]{64}", ""),
    _token("databricks-token", r"dapi[0-9a-f]{32}", r"(?:-\d)?"),
    _token("cloudflare-key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{20}", r"[0-9a-f]*"),
    _token("cloudflare-token", r"cf(?:ut|at|k)_[0-9A-Za-z]{40}", r"\w*"),
    _token("heroku-key", r"HRKU-[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("ibm-key", r"crn:v1:[^ ]{0,80}:apikey:[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("scalingo-token", r"tk-us-[0-9A-Za-z_-]{48}", r"[\w-]*"),
    _token(
        "yandex-key",
        r"(?:AQVN[0-9A-Za-z_-]{35}|YC[0-9A-Za-z_-]{38}|YCA[A-Z]E[0-9A-Za-z_-]{20}|t1\.[0-9A-Za-z_-]{10,128}\.[0-9A-Za-z_-]{60})",
        r"[\w=-]*",
    ),
    _token("aws-bedrock-key", r"ABSK[0-9A-Za-z+/]{80}", r"[\w+/=]*"),
    _token("openshift-token", r"sha256~[0-9A-Za-z_-]{40}", r"[\w-]*"),
    _token("rancher-token", r"token-[a-z0-9]{5}:[a-z0-9]{40}", r"\w*"),
    _token("scaleway-key", r"SCW[A-Z0-9]{17}", r"(?![A-Z0-9])"),
    _token("aiven-password", r"AVNS_[0-9A-Za-z_-]{15}", r"[\w-]*"),
    _token("alibaba-key", r"LTAI[0-9A-Za-z]{12}", r"[0-9A-Za-z]{0,12}"),
    _token("tencent-key", r"AKID[0-9A-Za-z]{32}", ""),
    _token("flyio-token", r"(?:FlyV1 fm[12][ar]?_|fo1_)[0-9A-Za-z_+/=-]{20}", r"[\w+/=,-]*"),
    # Forges and CI
    _token("github-token", r"(?:gh[pousr]_[0-9A-Za-z]{20}|github_pat_[0-9A-Za-z_]{20})", r"\w*"),
    _token("gitlab-token", r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt|oas|ffct)-[0-9A-Za-z_-]{16}", r"[\w.-]*"),
    _token("gitlab-token", r"GR1348941[0-9A-Za-z_-]{20}", ""),
    _token("bitbucket-token", r"ATBB[0-9A-Za-z]{24}", r"\w*"),
    _token("atlassian-token", r"AT(?:ATT|CTT)3[0-9A-Za-z_=-]{40}", r"[\w=-]*"),
    _token("circleci-token", r"CC(?:IPAT|IPRJ)_[0-9A-Za-z]{16,32}_[0-9a-f]{20}", r"\w*"),
    _token("buildkite-token", r"bk(?:ua|at|ct|r)_[0-9A-Za-z]{32}", r"\w*"),
    _token("sonar-token", r"sq[upa]_[0-9a-f]{40}", ""),
    _token("gitea-token", r"gitea_[0-9a-f]{40}", ""),
    _token("harness-token", r"(?:pat|sat)\.[0-9A-Za-z_-]{22}\.[0-9a-zA-Z]{24}\.[0-9A-Za-z]{20}", r"\w*"),
    _token("octopus-key", r"API-[A-Z0-9]{25}", r"[A-Z0-9]{0,10}"),
    _token("azure-devops-token", r"[0-9A-Za-z]{75}AZDO[0-9A-Za-z]{4}", ""),
    _token("gitlab-session", r"_gitlab_session=[0-9a-z]{32}", r"\w*"),
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
    _token("jfrog-token", r"(?:AKC[0-9A-Za-z]{60}|cmVmdGtu[0-9A-Za-z]{50})", r"\w*"),
    _token("clojars-token", r"(?:clojars|CLOJARS)_[0-9a-z]{60}", r"\w*"),
    _token("artifactory-token", r"eyJ2ZXIiOi[0-9A-Za-z_-]{40}", r"[\w.-]*"),
    _token("adafruit-key", r"aio_[0-9A-Za-z]{28}", r"\w*"),
    # Chat and mail
    _token("slack-token", r"(?:xox[abcdeoprs]-|xwfp-|xapp-\d-)[0-9A-Za-z-]{10}", r"[\w.%-]*"),
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
        r"(?:MT|Mj|Mz|ND|NT|Nj|Nz|OD|OT)[A-Za-z0-9_-]{22,24}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}",
        _BEFORE + r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w-]|\.\w)",
        "opaque",
    ),
    Secret(
        "teams-webhook",
        r"webhook\.office\.com/webhookb2/|outlook\.office\.com/webhook/",
        r"office\.com/webhook(?:b2)?/(?P<s>[\w@/-]{20,})",
    ),
    Secret(
        "teams-webhook",
        r"\.logic\.azure\.com(?::443)?/workflows/",
        r"\.logic\.azure\.com(?::443)?/workflows/(?P<s>[^\s\"'<>]{20,2000})",
    ),
    Secret(
        "chat-webhook",
        r"chat\.googleapis\.com/v1/spaces/",
        r"chat\.googleapis\.com/v1/spaces/(?P<s>[\w-]{5,40}/messages\?[^\s\"'<>]{20,2000})",
    ),
    Secret(
        "webhook",
        r"/(?:hooks?|webhooks?|catch|incoming|with/key|integration)/[0-9A-Za-z_-]{6}",
        r"https?://[^\s/\"'<>]{3,200}/(?:[\w-]{1,40}/){0,5}?(?:hooks/catch|hooks?|webhooks?|incoming|with/key|integration)/(?P<s>[0-9A-Za-z_-]{6,200}(?:/[0-9A-Za-z_-]{5,200}){0,4})",
        "parameter",
    ),
    _token("telegram-token", r"[0-9]{8,10}:AA[0-9A-Za-z_-]{32}", r"[\w-]?", before=rf"(?:{_BEFORE}|(?<=/bot))"),
    _token("sendgrid-key", r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16}", r"[\w-]*"),
    _token("brevo-key", r"x(?:keysib|smtpsib)-[0-9a-f]{64}-[0-9A-Za-z]{16}", ""),
    _token("mailersend-key", r"mlsn\.[0-9a-f]{64}", ""),
    _token("resend-key", r"re_[0-9A-Za-z]{8}_[0-9A-Za-z]{24}", ""),
    _token("mandrill-key", r"md-[0-9A-Za-z_-]{22}", r"(?![\w-])"),
    _token("mailgun-key", r"key-[0-9a-f]{32}", ""),
    _token("mailchimp-key", r"[0-9a-f]{32}-us[0-9]{1,2}", r"(?!\w)"),
    _token("twilio-key", r"SK[0-9a-f]{32}", r"(?!\w)"),
    Secret("twilio-key", r"AC[0-9a-f]{32}[\"']?[,:]", r"\bAC[0-9a-f]{32}[\"']?[,:] ?[\"']?(?P<s>[0-9a-f]{32})(?!\w)"),
    # Payment and software services
    _token("stripe-key", r"(?:[sr]k_(?:live|test)_|whsec_)[0-9A-Za-z][0-9A-Za-z_-]{13}", r"[\w-]*"),
    _token("square-key", r"(?:sq0(?:atp|csp|idp)-|EAAA)[0-9A-Za-z_-]{22}", r"[\w-]*"),
    _token("shopify-token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", ""),
    _token("braintree-token", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}", ""),
    _token("razorpay-key", r"rzp_(?:live|test)_[0-9A-Za-z]{14}", r"\w*"),
    _token("flutterwave-key", r"FLW(?:SEC|PUB)K(?:_TEST)?-[0-9A-Za-z]{12}", r"[\w-]*"),
    _token("plaid-token", r"access-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f-]{27}", ""),
    _token("easypost-key", r"EZ[AT]K[0-9A-Za-z]{54}", ""),
    _token("anthropic-key", r"sk-ant-[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("openai-key", r"sk-(?:proj-|svcacct-|admin-|or-v1-|None-)?[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token(
        "ai-key",
        r"(?:gsk_[0-9A-Za-z]{40}|pplx-[0-9A-Za-z]{40}|xai-[0-9A-Za-z]{60}|r8_[0-9A-Za-z]{30}|lsv2_(?:pt|sk)_[0-9a-f]{32}|pcsk_[0-9A-Za-z]{4,8}_[0-9A-Za-z]{40}|nvapi-[0-9A-Za-z_-]{40}|tgp_v1_[0-9A-Za-z_-]{30}|fw_[0-9A-Za-z]{22}|jina_[0-9a-f]{32}|tvly-[0-9A-Za-z-]{20}|fc-[0-9a-f]{32}|sk_[0-9a-f]{48}|csk-[0-9a-z]{40}|wandb_v1_[0-9A-Za-z_-]{40})",
        r"[\w-]*",
    ),
    _token("huggingface-token", r"(?:hf_|api_org_)[0-9A-Za-z]{30}", r"\w*"),
    _token("vault-token", r"hv[sbr]\.[0-9A-Za-z_-]{20}", r"[\w.-]*"),
    Secret(
        "vault-token",
        r"(?:^|[\s\"'=:,;(\[{<>|`]|\\[nrt])s\.[0-9A-Za-z]{24}",  # names of classes in packages end like this too
        r"(?:(?<![\w.$)\]-])|(?<=\\[nrt]))s\.[0-9A-Za-z]{24}(?![\w.])",
    ),
    _token("terraform-token", r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60}", r"[\w=-]*"),
    _token("pulumi-token", r"pul-[0-9a-f]{40}", ""),
    _token("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z._-]{40}", r"\w*"),
    _token("onepassword-token", r"ops_eyJ[0-9A-Za-z+/=_-]{100}", r"[\w+/=-]*"),
    _token("onepassword-key", r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}", ""),
    Secret(
        "infisical-token",
        r"st\.[0-9a-f]{8}",
        _BEFORE + r"st\.(?:[0-9a-f]{24}|[0-9a-f]{8}-[0-9a-f-]{27})\.[0-9a-f]{32}\.[0-9a-f]{32}",
    ),
    _token("grafana-token", r"gl(?:c|sa)_[0-9A-Za-z+/=_]{32}", r"[\w+/=]*"),
    _token("grafana-key", r"eyJrIjoi[0-9A-Za-z+/]{50}", r"[\w+/=]*"),
    _token("newrelic-key", r"NR(?:AK|JS|II|RA|IQ)-[0-9A-Za-z_-]{19}", r"[\w-]*"),
    _token("sentry-token", r"sntry[su]_[0-9A-Za-z+/=_-]{40}", r"[\w+/=-]*"),
    Secret("sentry-dsn", r"://[0-9a-f]{32}(?::[0-9a-f]{32})?@[\w.-]*", r"://(?P<s>[0-9a-f]{32}(?::[0-9a-f]{32})?)@"),
    _token("honeycomb-key", r"hc[abx][mi][ckl]_[0-9a-z]{50}", r"\w*"),
    _token("elastic-key", r"ess[uo]_[0-9A-Za-z+/=_-]{40}", r"[\w+/=-]*"),
    _token("launchdarkly-key", r"(?:sdk|api|mob|rel)-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", ""),
    _token("posthog-key", r"ph[xcsr]_[0-9A-Za-z]{40}", r"\w*"),
    _token("segment-token", r"sgp_[0-9A-Za-z]{64}", ""),
    _token("splunk-token", r"splk-[0-9A-Za-z-]{30}", r"[\w-]*"),
    _token("prefect-key", r"pn[ubs]_[0-9A-Za-z]{36}", ""),
    _token("rendering-key", r"rnd_[0-9A-Za-z]{32}", ""),
    _token("neon-key", r"napi_[0-9a-z]{60}", r"\w*"),
    _token("vercel-token", r"(?:vercel_blob_rw_[0-9A-Za-z]{16}_[0-9A-Za-z]{20}|vc[piark]_[0-9A-Za-z]{50})", r"\w*"),
    _token("dropbox-token", r"sl\.(?:u\.)?[0-9A-Za-z_-]{100}", r"[\w-]*"),
    _token("mapbox-token", r"[pst]k\.eyJ[0-9A-Za-z_-]{10,200}\.[0-9A-Za-z_-]{20}", r"[\w-]*"),
    _token("adobe-secret", r"p8e[_-][0-9A-Za-z_-]{32}", ""),
    _token("asana-token", r"[0-9]/[0-9]{15,16}(?:/[0-9]{15,16})?:[0-9a-f]{32}", ""),
    _token("contentful-token", r"CFPAT-[0-9A-Za-z_-]{43}", ""),
    _token("typeform-token", r"tfp_[0-9A-Za-z_.=-]{40}", r"[\w.=-]*"),
    _token("frameio-token", r"fio-u-[0-9A-Za-z_-]{64}", ""),
    _token("trello-token", r"ATTA[0-9a-f]{64}", r"[0-9A-Fa-f]*"),
    _token("facebook-token", r"(?:EAA[0-9A-Za-z]{90}|IGQV[0-9A-Za-z_-]{90}|EAACEdEose0cBA[0-9A-Za-z]{10})", r"[\w-]*"),
    _token("twitter-token", r"A{20}[0-9A-Za-z%]{60}", r"[\w%]*"),
    _token("zapier-key", r"zpka_[0-9A-Za-z_]{30}", r"\w*"),
    _token("webflow-token", r"(?:wfp|ws)_[0-9a-f]{60}", r"\w*"),
    _token("statuspage-key", r"OAuth [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{27}", ""),
    _token("convex-key", r"(?:prod|dev|preview):[a-z]+-[a-z]+-\d{3}\|[0-9A-Za-z+/=_-]{40}", r"[\w+/=-]*"),
    _token("clickhouse-key", r"4b1d[0-9A-Za-z]{38}", r"(?!\w)"),
    _token("deno-token", r"dd[pw]_[0-9A-Za-z]{36}", ""),
    _token("endor-token", r"endr\+[0-9A-Za-z-]{16}", ""),
    _token("sidekiq-key", r"[0-9a-f]{8}:[0-9a-f]{8}@(?:gems|enterprise)\.contribsys\.com", ""),
    _token(
        "microsoft-token",
        r"(?:0\.A[A-Z][A-Za-z0-9_-]|1\.A[A-Z][A-Za-z0-9_-]|M\.[CR]\d_)[0-9A-Za-z_.!*-]{200}",
        r"[\w.!*-]*",
    ),
    _token("intra42-secret", r"s-s4t2(?:ud|af)-[0-9a-f]{64}", ""),
    _token("duffel-token", r"duffel_(?:test|live)_[0-9A-Za-z_=-]{43}", ""),
    _token("polymarket-key", r"(?:lnprod|lntest)_[0-9A-Za-z]{30}", r"\w*"),
    _token("linear-key", r"lin_(?:api|oauth)_[0-9A-Za-z]{32}", r"\w*"),
    _token("notion-token", r"(?:ntn_[0-9A-Za-z]{40}|secret_[0-9A-Za-z]{43})", r"\w*"),
    _token("linkedin-secret", r"WPL_AP1\.[0-9A-Za-z]{16}\.", r"[\w+/=]*"),
    _token("snyk-token", r"snyk_(?:uat|sat)\.[0-9a-f]{8}\.[0-9A-Za-z_-]{20}", r"[\w.-]*"),
    _token("wakatime-key", r"waka_[0-9a-f]{8}-[0-9a-f-]{27}", ""),
    _token("axiom-token", r"xa[ap]t-[0-9a-f]{8}-[0-9a-f-]{27}", ""),
    _token("checkly-key", r"cu_[0-9a-f]{32}", r"(?!\w)"),
    _token("chromatic-token", r"chpt_[0-9a-f]{12}", r"\w*"),
    _token("inngest-key", r"signkey-(?:prod|test|branch)-[0-9a-f]{32}", r"\w*"),
    _token("jetbrains-token", r"perm[:-][0-9A-Za-z+/=%]{2,60}\.[0-9A-Za-z+/=%]{2,60}\.[0-9A-Za-z]{20}", r"\w*"),
    _token("stytch-secret", r"secret-(?:test|live)-[0-9A-Za-z_-]{30}", r"[\w=-]*"),
    _token("depot-token", r"depot_(?:project|user|org)_[0-9a-f]{40}", r"\w*"),
    _token("rootly-token", r"rootly_[0-9a-f]{40}", r"\w*"),
    Secret(
        "rapidapi-key",
        r"[0-9a-f]msh[0-9a-f]{15}p1",
        _BEFORE + r"[0-9a-f]{8,12}msh[0-9a-f]{15}p1[0-9a-f]{6}jsn[0-9a-f]{10,14}",
    ),
    _token("postman-key", r"(?:PMAK-[0-9a-f]{24}-|PMAT-[0-9A-Z]{24})", r"\w*"),
    _token("figma-token", r"fig[dou]_[0-9A-Za-z_-]{30}", r"[\w-]*"),
    _token("tailscale-key", r"tskey-(?:auth|api|client|scim|webhook)-[0-9A-Za-z]{8,20}-[0-9A-Za-z]{16}", r"\w*"),
    _token("netlify-token", r"nfp_[0-9A-Za-z]{36}", r"\w*"),
    _token("supabase-key", r"sb(?:p_[0-9a-f]{40}|_secret_[0-9A-Za-z_-]{20})", r"[\w-]*"),
    _token("planetscale-token", r"pscale_(?:tkn|pw|oauth)_[0-9A-Za-z_.-]{30}", r"[\w.-]*"),
    _token("airtable-token", r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}", ""),
    _token("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", ""),
    _token("dynatrace-token", r"dt0[a-z][0-9]{2}\.[0-9A-Z]{24}\.[0-9A-Z]{64}", ""),
    _token(
        "service-token",
        r"(?:shippo_(?:live|test)|fnd|rdme|scw|cmp|pk_live|ak_live|flb_live|ory_(?:at|rt|pat)|dckr_rt|sv|sec_live|glprt)_[0-9A-Za-z]{30}",
        r"\w*",
    ),
    _token("sourcegraph-token", r"sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}", ""),
    Secret(
        "jwt",
        r"eyJ[A-Za-z0-9_-]{8}",
        _BEFORE
        + r"eyJ[\w-]{8,8192}\.(?:eyJ[\w-]{8,8192}(?:\.[\w-]*)?|[\w-]{0,2048}\.[\w-]{8,64}\.[\w-]{8,8192}\.[\w-]{8,256})",  # noqa: E501
    ),
    Secret(
        "password-hash",
        r"\$(?:apr1|1|2[abxy]|5|6|y|argon2id?)\$[./0-9A-Za-z$=,]{8}",
        r"(?<![\w$])\$(?:apr1|1|2[abxy]?|5|6|y|argon2(?:id?|d))\$[./0-9A-Za-z$=,+]{12,400}",
    ),
    Secret(
        "password-hash",
        r"\{S?SHA(?:256|512)?\}[A-Za-z0-9+/]{20}|pbkdf2_sha\d+\$|SCRAM-SHA-\d{1,3}\$",
        r"(?:\{S?SHA(?:256|512)?\}|pbkdf2_sha\d+\$\d+\$|SCRAM-SHA-\d{1,3}\$\d{1,7}:)[\w+/=$:-]{20,400}",
    ),
)
"""Every format of a token that is known by itself."""
