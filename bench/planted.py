"""Made-up secrets of the formats that providers document, in the syntaxes that logs show them in.

Nothing here knows how `processor.logs` looks for secrets: formats are written down from the providers'
documentation as `{count alphabet}` (`{36A}`: 36 letters and digits), syntaxes as they stand in logs. Each
secret is drawn anew at run time; none was ever real.
"""

# ruff: noqa: E501  (a format or syntax that is folded can't be read; none holds a secret)

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_LETTERS: Final = string.ascii_letters
ALPHABETS: Final = {
    "A": _LETTERS + string.digits,
    "a": _LETTERS,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": string.digits,
    "n": "123456789",
    "l": string.ascii_lowercase,
    "U": string.ascii_uppercase,
    "k": string.ascii_lowercase + string.digits,
    "K": string.ascii_uppercase + string.digits,
    "T": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "w": _LETTERS + string.digits + "_",
    "u": _LETTERS + string.digits + "_-",
    "b": _LETTERS + string.digits + "+/",
    "p": _LETTERS + string.digits + "!#%^*+-_.~",
    "q": _LETTERS + string.digits + "!%^*-_.~",
}

TOKENS: Final = {
    "aws access key": "AKIA{16T}", "aws temporary key": "ASIA{16T}", "google api key": "AIza{35u}",
    "google oauth": "ya29.{80u}", "google client secret": "GOCSPX-{28u}", "azure ad secret": "{3A}8Q~{34u}",
    "digitalocean": "dop_v1_{64h}", "digitalocean oauth": "doo_v1_{64h}", "digitalocean refresh": "dor_v1_{64h}",
    "databricks": "dapi{32h}", "alibaba": "LTAI{20A}", "tencent": "AKID{32A}", "heroku": "HRKU-AA{58u}",
    "fly.io": "fo1_{43u}", "scaleway": "SCW{17K}", "ovh": "OVH_{32A}", "hetzner env": "HCLOUD_TOKEN={64A}",
    "github classic": "ghp_{36A}", "github oauth": "gho_{36A}", "github server": "ghs_{36A}", "github user": "ghu_{36A}",
    "github refresh": "ghr_{76A}", "github fine-grained": "github_pat_{22A}_{59A}", "gitlab pat": "glpat-{20u}",
    "gitlab routable": "glpat-{27u}.01.{9k}", "gitlab trigger": "glptt-{40h}", "gitlab deploy": "gldt-{20u}", "gitlab runner": "glrt-{20u}",
    "gitlab job": "glcbt-64_{20u}", "gitlab feed": "glft-{20u}", "gitlab scim": "glsoat-{20u}", "gitlab agent": "glagent-{50u}",
    "gitlab incoming mail": "glimt-{25u}", "gitlab runner registration": "GR1348941{20u}", "gitlab feature flags": "glffct-{20u}",
    "bitbucket app password": "ATBB{32A}", "atlassian": "ATATT3xFfGF0{180u}={8H}", "bitbucket repository": "ATCTT3xFfGN0{170u}={8H}",
    "circleci": "CCIPAT_{22A}_{40h}", "circleci project": "CCIPRJ_{22A}_{40h}", "buildkite": "bkua_{40h}", "sonarqube": "squ_{40h}", "sonarqube project": "sqp_{40h}",
    "harness": "pat.{22A}.{24h}.{20A}", "octopus deploy": "API-{26K}", "travis env": "TRAVIS_TOKEN={22u}", "sourcegraph": "sgp_{16h}_{40h}",
    "npm": "npm_{36A}", "pypi": "pypi-AgEIcHlwaS5vcmc{150u}", "test pypi": "pypi-AgENdGVzdC5weXBpLm9yZw{150u}", "crates.io": "cio{32A}",
    "rubygems": "rubygems_{48h}", "nuget": "oy2{43k}", "docker": "dckr_pat_{27u}", "docker organisation": "dckr_oat_{32u}",
    "artifactory": "AKCp{69A}", "artifactory reference": "cmVmdGtu{56A}", "clojars": "CLOJARS_{60k}", "hex": "hex_{32h}",
    "slack bot": "xoxb-{12d}-{12d}-{24A}", "slack user": "xoxp-{12d}-{12d}-{12d}-{32h}", "slack app": "xapp-1-A{10K}-{13d}-{64h}",
    "slack legacy": "xoxa-2-{12d}-{12d}-{12d}-{32h}", "slack config": "xoxe.xoxp-1-{166A}", "slack session": "xoxc-{12d}-{12d}-{12d}-{64h}",
    "slack webhook": "https://hooks.slack.com/services/T{8K}/B{10K}/{24A}", "slack workflow": "https://hooks.slack.com/workflows/T{8K}/A{10K}/{18d}/{24A}",
    "discord webhook": "https://discord.com/api/webhooks/{18d}/{68u}", "discord bot": "MT{22A}.{6u}.{38u}",
    "teams webhook": "https://acme.webhook.office.com/webhookb2/{8h}-{4h}-{4h}-{4h}-{12h}@{8h}-{4h}-{4h}-{4h}-{12h}/IncomingWebhook/{32h}/{8h}-{4h}-{4h}-{4h}-{12h}",
    "teams workflow": "https://prod-12.westeurope.logic.azure.com:443/workflows/{32h}/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={43u}",
    "google chat webhook": "https://chat.googleapis.com/v1/spaces/{11A}/messages?key=AIza{35u}&token={43u}",
    "mattermost webhook": "https://mattermost.example.com/hooks/{26k}", "zapier webhook": "https://hooks.zapier.com/hooks/catch/{7d}/{7k}",
    "telegram": "{10n}:AA{33u}", "sendgrid": "SG.{22u}.{43u}", "mailgun": "key-{32h}", "mailchimp": "{32h}-us14", "sendinblue": "xkeysib-{64h}-{16A}",
    "twilio": "SK{32h}", "postmark env": "POSTMARK_SERVER_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "mandrill env": "MANDRILL_API_KEY=md-{22u}",
    "stripe": "sk_live_{24A}", "stripe test": "sk_test_{99A}", "stripe restricted": "rk_live_{24A}", "stripe webhook": "whsec_{32A}",
    "square": "sq0atp-{22u}", "square secret": "sq0csp-{43u}", "square production": "EAAA{60u}", "paypal": "access_token$production${16k}${32h}",
    "shopify": "shpat_{32h}", "shopify custom": "shpca_{32h}", "shopify secret": "shpss_{32h}", "razorpay": "rzp_live_{14A}", "flutterwave": "FLWSECK_TEST-{32h}-X",
    "lob": "live_{35h}", "plaid": "access-production-{8h}-{4h}-{4h}-{4h}-{12h}", "gocardless": "live_{40u}", "easypost": "EZAK{54A}", "duffel": "duffel_live_{43u}", "shippo": "shippo_live_{40h}",
    "openai": "sk-{20A}T3BlbkFJ{20A}", "openai project": "sk-proj-{74u}T3BlbkFJ{74u}", "openai service": "sk-svcacct-{60u}", "anthropic": "sk-ant-api03-{93u}AA",
    "hugging face": "hf_{34a}", "replicate": "r8_{37A}", "groq": "gsk_{52A}", "perplexity": "pplx-{48A}", "xai": "xai-{80A}", "cohere env": "COHERE_API_KEY={40A}",
    "langsmith": "lsv2_pt_{32h}_{10h}", "wandb env": "WANDB_API_KEY={40h}", "openrouter": "sk-or-v1-{64h}", "deepseek": "sk-{32h}", "voyage": "pa-{43u}", "pinecone": "pcsk_{6A}_{63A}", "fireworks": "fw_{24A}",
    "vault service": "hvs.{90u}", "vault batch": "hvb.{140u}", "vault legacy": "VAULT_TOKEN=s.{24A}", "terraform cloud": "{14A}.atlasv1.{67u}", "pulumi": "pul-{40h}",
    "doppler": "dp.pt.{43A}", "1password": "ops_eyJ{250A}", "1password key": "A3-{6K}-{6K}-{5K}-{5K}-{5K}-{5K}", "infisical": "st.{24h}.{32h}.{32h}", "akeyless": "p-{14A}",
    "grafana": "glsa_{32A}_{8h}", "grafana cloud": "glc_{100A}", "new relic user": "NRAK-{27K}", "new relic browser": "NRJS-{19h}", "new relic insert": "NRII-{32u}", "datadog env": "DD_API_KEY={32h}",
    "datadog app env": "DD_APP_KEY={40h}", "sentry": "sntrys_eyJ{110A}_{43A}", "sentry user": "sntryu_{64h}", "sentry dsn": "https://{32h}:{32h}@o12345.ingest.sentry.io/4501234", "honeycomb": "hcaik_{58k}", "logzio env": "LOGZIO_TOKEN={32a}",
    "dynatrace": "dt0c01.{24K}.{64K}", "elastic": "essu_{60A}", "launchdarkly": "sdk-{8h}-{4h}-{4h}-{4h}-{12h}", "launchdarkly api": "api-{8h}-{4h}-{4h}-{4h}-{12h}", "posthog": "phx_{43A}", "segment": "sgp_{64A}", "rollbar env": "ROLLBAR_ACCESS_TOKEN={32h}", "opsgenie": "OPSGENIE_KEY={8h}-{4h}-{4h}-{4h}-{12h}", "pagerduty env": "PAGERDUTY_TOKEN=u+{18u}",
    "linear": "lin_api_{40A}", "notion": "ntn_{46A}", "notion legacy": "secret_{43A}", "airtable": "pat{14A}.{64h}", "asana": "1/{16d}:{32h}", "figma": "figd_{40u}", "postman": "PMAK-{24h}-{34h}", "typeform": "tfp_{59u}", "contentful": "CFPAT-{43u}", "readme": "rdme_{70k}", "trello env": "TRELLO_TOKEN=ATTA{72h}", "dropbox": "sl.{135u}", "mapbox": "sk.eyJ1{59A}.{22u}", "adobe": "p8e-{32A}",
    "tailscale": "tskey-auth-{12A}-{32A}", "netlify": "nfp_{36A}", "vercel env": "VERCEL_TOKEN={24A}", "vercel blob": "vercel_blob_rw_{16A}_{30A}", "supabase": "sbp_{40h}", "supabase secret": "sb_secret_{31u}", "planetscale": "pscale_tkn_{43u}", "planetscale password": "pscale_pw_{43u}", "neon": "napi_{64k}", "upstash env": "UPSTASH_REDIS_REST_TOKEN={56A}", "cloudflare origin": "v1.0-{24h}-{146h}", "cloudflare env": "CLOUDFLARE_API_TOKEN={40u}", "fastly env": "FASTLY_API_TOKEN={32u}", "ngrok env": "NGROK_AUTHTOKEN={49w}", "render": "rnd_{32A}", "railway env": "RAILWAY_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "prefect": "pnu_{36A}", "dbt env": "DBT_ENV_SECRET_TOKEN={40h}", "snyk env": "SNYK_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "codecov env": "CODECOV_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "coveralls env": "COVERALLS_REPO_TOKEN={33A}", "cypress env": "CYPRESS_RECORD_KEY={8h}-{4h}-{4h}-{4h}-{12h}", "percy": "PERCY_TOKEN={64h}", "chromatic": "chpt_{15h}", "expo": "EXPO_TOKEN={40u}", "sauce env": "SAUCE_ACCESS_KEY={8h}-{4h}-{4h}-{4h}-{12h}", "browserstack env": "BROWSERSTACK_ACCESS_KEY={20A}", "okta": "OKTA_API_TOKEN=00{40u}", "auth0 env": "AUTH0_CLIENT_SECRET={64u}", "yandex": "AQVN{36u}", "yandex iam": "t1.{30A}.{86u}", "facebook": "EAACEdEose0cBA{60A}", "facebook page": "EAA{100A}", "instagram": "IGQV{120u}", "twitter bearer": "AAAAAAAAAAAAAAAAAAAAA{80A}%3D{30A}", "beamer": "b_{44u}=" , "frameio": "fio-u-{64u}", "sumologic env": "SUMOLOGIC_ACCESSKEY={64A}", "age": "AGE-SECRET-KEY-1{58K}", "jwt": "eyJ{34u}.eyJ{80u}.{43u}", "jwe": "eyJ{60u}..{16u}.{80u}.{22u}",
    "pkcs12 password env": "P12_PASSWORD={14p}", "aiven": "AVNS_{19u}", "axiom": "xaat-{8h}-{4h}-{4h}-{4h}-{12h}", "wakatime": "waka_{8h}-{4h}-{4h}-{4h}-{12h}", "checkly": "cu_{32h}", "depot": "depot_project_{64h}", "rootly": "rootly_{64h}",
    "snyk": "snyk_uat.{8h}.{60u}", "linkedin": "WPL_AP1.{16A}.{6A}", "rapidapi": "{10h}msh{15h}p1{6h}jsn{12h}", "slack workflow token": "xwfp-{13d}-{40A}", "dynatrace platform": "dt0s02.{24T}.{64T}", "mailgun current": "{32h}-{8h}-{8h}",
    "azure registry": "{42A}+ACR{6A}", "azure cosmos": "{76A}ACDb{6A}==", "azure search": "{42A}AzSe{6A}", "azure functions": "{44A}AzFu{4A}==", "azure storage": "{76A}+ASt{6A}==",
    "cerebras": "csk-{48k}", "weights v1": "wandb_v1_{77w}", "inngest": "signkey-prod-{64h}", "jetbrains": "perm:{8A}.{8A}.{30A}", "stytch": "secret-live-{36u}", "amazon marketplace": "amzn.mws.{8h}-{4h}-{4h}-{4h}-{12h}",
    "postman collection": "PMAT-{26K}", "infisical service": "st.{8h}-{4h}-{4h}-{4h}-{12h}.{32h}.{32h}", "workos": "sk_test_a{79w}", "yandex static": "YCAJE{20A}", "grafana api": "eyJrIjoi{90A}",
    "weights": "WANDB_KEY=local-{40h}", "gitea": "gitea_{40h}", "codeberg": "CODEBERG_TOKEN={40h}", "drone env": "DRONE_TOKEN={32A}", "woodpecker env": "WOODPECKER_AGENT_SECRET={64h}", "jenkins": "11{32h}", "nomad": "NOMAD_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "consul": "CONSUL_HTTP_TOKEN={8h}-{4h}-{4h}-{4h}-{12h}", "rancher": "token-{5k}:{54k}", "openshift": "sha256~{43u}", "bootstrap": "{6k}.{16k}", "argocd": "ARGOCD_AUTH_TOKEN=eyJ{20u}.eyJ{60u}.{43u}", "confluent": "CONFLUENT_CLOUD_API_SECRET={64b}", "snowflake": "SNOWFLAKE_PASSWORD={16p}",
}  # fmt: skip
"""Provider: format of a token that is known by itself, or with the name that it is always passed by."""

_WITH_NAME: Final = frozenset({"jenkins", "bootstrap", "asana", "1password key", "mattermost webhook", "zapier webhook", "akeyless", "hex", "lob", "gocardless", "deepseek", "voyage", "beamer", "octopus deploy", "mailgun current"})  # fmt: skip
"""Formats that only a name beside them tells from anything else."""

NAMES: Final = (
    "DB_PASSWORD", "db.password", "spring.datasource.password", "MYSQL_ROOT_PASSWORD", "PGPASSWORD", "adminPassword", "RABBITMQ_DEFAULT_PASS",
    "redis_pass", "SMTP_PWD", "ftpPasswd", "keystorePassword", "KEY_PASSPHRASE", "ansible_become_pass", "X_API_SECRET", "clientSecret", "CLIENT_SECRET",
    "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "AWS_SESSION_TOKEN", "JWT_SECRET", "SECRET_KEY_BASE", "django_secret_key", "APP_SECRET", "webhook_secret",
    "WEBHOOK_SIGNING_KEY", "ENCRYPTION_KEY", "api_key", "apiKey", "API-KEY", "X-Api-Key", "algolia_admin_key", "stripeApiKey", "TWILIO_AUTH_TOKEN", "authToken", "auth_token",
    "access_token", "accessToken", "refresh_token", "id_token", "BEARER_TOKEN", "NPM_TOKEN", "GH_PAT", "DEPLOY_KEY", "SSH_PRIVATE_KEY_PASS", "DOCKER_HUB_TOKEN", "SONAR_LOGIN_TOKEN",
    "HEROKU_API_KEY", "FIREBASE_TOKEN", "session_token", "sessionid", "csrf_token", "cookie_secret", "MASTER_KEY", "SHARED_ACCESS_KEY", "storage_account_key", "sas_token", "SERVICE_CREDENTIAL",
    "vault_unseal_key", "license_key", "signing.password", "sonatypePassword", "ORG_GRADLE_PROJECT_signingInMemoryKeyPassword", "MAVEN_GPG_PASSPHRASE", "oauth_client_secret",
    "consumer_secret", "private_key", "account-key", "registryPassword", "imagePullSecretPassword", "LDAP_BIND_PASSWORD", "wifi_psk", "pin_code_secret", "totp_secret", "otp_seed_secret", "hmac_key", "salt_secret", "user_password", "Password", "passwd", "pwd", "secret", "token", "TOKEN", "credentials", "apikey",
)  # fmt: skip
"""Names by which programs pass secrets that have no format of their own."""

VALUES: Final = ("{40b}", "{32h}", "{40h}", "{64h}", "{24A}", "{32A}", "{20A}", "{16A}", "{43u}", "{86b}==", "{12A}", "{14q}", "{20q}", "{8h}-{4h}-{4h}-{4h}-{12h}")  # fmt: skip

BARE: Final = (
    "using {s}", "Logged in with token {s}", "{s}", "fatal: bad credentials {s}", 'unexpected value "{s}"', "remote: {s} is not valid", "got '{s}'", "[debug] sending {s}, retrying", "({s})", "key {s}.",
    "args: [run, {s}, --verbose]", "+ ./deploy.sh {s}", "auth=<{s}>", "Error: request with {s} failed: 401", "-> {s}", "`{s}` rejected", "seen:{s};next", "  - {s}", "export default '{s}'", "data={s}&x=1", "line\\n{s}\\nend", "\x1b[31m{s}\x1b[0m is not valid", "key \x1b[1;36m{s}\x1b[m", "user|{s}|ok",
)  # fmt: skip
"""Syntaxes for a token that is known by itself."""

NAMED: Final = (
    "{n}={s}", "export {n}={s}", 'export {n}="{s}"', "set {n}={s}", "declare -x {n}='{s}'", "{n}: {s}", "  {n}: {s}", '  {n}: "{s}"', "  {n}: '{s}'", '"{n}": "{s}",', '{{"{n}":"{s}","user":"bot"}}', "{{'{n}': '{s}', 'user': 'bot'}}", '{{\\"{n}\\":\\"{s}\\",\\"a\\":1}}',
    ':{n} => "{s}",', '"{n}" => "{s}"', '{n} = "{s}"', "{n} := {s}", "{n} = {s}", "+ tool --{n}={s} run", "+ tool --{n} {s} run", "+ mvn -B -D{n}={s} deploy", "+ gradle -P{n}={s} publish", "docker run -e {n}={s} image", "docker build --build-arg {n}={s} .", "helm upgrade x --set app.{n}={s}",
    "kubectl create secret generic app --from-literal={n}={s}", "GET https://api.example.com/v1/x?{n}={s}&page=2 401", "> {n}: {s}", "curl -H '{n}: {s}' https://api.example.com", 'curl -H "{n}: {s}" https://api.example.com', "<{n}>{s}</{n}>", '<add key="{n}" value="{s}" />', '<property name="{n}" value="{s}"/>', "::set-output name={n}::{s}",
    "::set-env name={n}::{s}", "##vso[task.setvariable variable={n};issecret=true]{s}", '      + {n} = "{s}"', '      ~ {n} = "{s}" -> (known after apply)', '{{"name": "{n}", "value": "{s}"}}', "- name: {n}\n  value: {s}", '- name: {n}\n  value: "{s}"', '"name": "{n}",\n"value": "{s}"', "Config{{User:bot {n}:{s} Port:22}}", "level=info msg=start {n}={s} port=22",
    '$env:{n} = "{s}"', "setx {n} {s}", "ENV {n} {s}", "ENV {n}={s}", "ARG {n}={s}", "set -x {n} {s}", "setenv {n} {s}", "os.environ['{n}'] = '{s}'", 'process.env.{n} = "{s}"', "{n} is {s}", "{n}: [{s}]", "({n}={s})", "[{n}={s}]", "{n}={s};User=bot", "user=bot&{n}={s}", "{n} -> {s}", 'config.set("{n}", "{s}")', "{n} | {s}", "| {n} | {s} |", "{n}\t{s}", '"{n}", "{s}"', "{n}='{s}' ./run.sh", "env: {{{n}: {s}}}", "  {n}=>{s}", "with {n} '{s}'", "--env {n}={s}", "{n}:{s}",
    'String {n} = "{s}";', 'const {n} = "{s}"', "{n}: >-\n    {s}", "{n}: |\n    {s}", "<key>{n}</key>\n<string>{s}</string>", "{n} ......... {s}", "value of {n}: {s}", 'Expected {n} to equal "{s}"', '[{n}]: "{s}"', 'data.{n}[0]="{s}"', "{n}%3D{s}", "{n} == '{s}'", 'if [ "{n}" = "{s}" ]',
)  # fmt: skip
"""Syntaxes for a name and a secret."""

PASSED: Final = (
    "deploy --prod -t {A24} --yes", "tool uses snip_uat.{h8}.{A40}", "PERCH=web_{h64}", "anytool login {h40}", "Authorization: Sploink {U}", "https://conda.example.com/t/co-{U}/channel/repodata.json", "Enter pass phrase for key.pem: {p}7",
    "NAME        PASSWORD\nroot        {A16}", "| user | password |\n|------|----------|\n| ci | {A16} |", "user,password\nci,{A16}", "kind: Secret\ndata:\n  word: {E}\nmetadata:", "stringData:\n  user: ci\n  word: {p}\nother: 1", "anytool secrets:set DB={p} --app web", "anytool variable set DB {A16} --masked", "consul kv put secret/web/db {p}",
    "echo '{p}' | anytool secrets create db --file=-", "sed -i 's/__DB_PASS__/{A16}/' config.php", '{{"name":"DB_PASSWORD","value":"{A16}"}}',
    'DriverManager.getConnection(url, "app", "{p}")', "new PDO('mysql:host=d', 'app', '{p}')", "mysqli_connect('d', 'app', '{p}', 'shop')", 'val password: String = "{p}"', "<apiKey><![CDATA[{t}]]></apiKey>", "<property>\n  <name>db.password</name>\n  <value>{p}</value>\n</property>",
    "X-Hub-Signature-256: sha256={h64}", "---> PASS {p}", 'variable "db_password" {{\n  default = "{p}"\n}}', "password = <<EOT\n{A20}\nEOT", "ssh-keygen -t ed25519 -N {p} -f id", "nuget push a.nupkg {t} -Source x", "cf auth bot {p}", "anytool login <<< {p}", '~ password = "{p}" -> "{p2}"',
    "curl -u bot:{p} https://api.example.com/x", "curl --user 'bot:{p}' https://api.example.com", "curl -sSfu bot:{p} https://a.example.com", "curl -X POST --user=bot:{p} https://a.example.com", "curl -H 'Authorization: Bearer {t}' https://a.example.com", 'curl -H "Authorization: token {t}" https://a.example.com',
    "curl --header 'PRIVATE-TOKEN: {t}' https://gitlab.example.com/api/v4", "curl --header 'JOB-TOKEN: {t}' https://gitlab.example.com", "curl --oauth2-bearer {t} https://a.example.com", "curl -b 'session={t}' https://a.example.com", "curl -d 'client_secret={t}&grant_type=client_credentials' https://a.example.com/token", "curl --cookie JSESSIONID={t} https://a.example.com",
    "wget --password={p} https://a.example.com", "wget --http-password={p} https://a.example.com", "wget --header='Authorization: Basic {B}' https://a.example.com", "http -a bot:{p} https://a.example.com", "docker login -u bot -p {p} registry.example.com", "docker login --username bot --password {p}", "docker login -p={p} -u=bot", "echo {p} | docker login --username bot --password-stdin",
    'echo "{p}" | docker login -u bot --password-stdin registry.example.com', "podman login -u bot -p {p} quay.example.com", "helm registry login -u bot -p {p} registry.example.com", "az login --service-principal -u {U} -p {p} --tenant {U}", "az acr login -n acme -u bot -p {p}", "skopeo copy --src-creds bot:{p} docker://a docker://b", "skopeo copy --dest-creds=bot:{p} docker://a docker://b", "oras login -u bot -p {p} ghcr.example.com",
    "oc login --token={t} --server=https://api.example.com:6443", "oc login -u bot -p {p} https://api.example.com", "cf login -a api.example.com -u bot -p {p}", "kubectl config set-credentials bot --token={t}", "kubectl config set-credentials bot --password={p}", "kubectl create secret docker-registry r --docker-username=bot --docker-password={p}", "gh auth login --with-token <<< {t}", "vault login {v}", "vault login -method=userpass username=bot password={p}",
    "mysql -u root -p{p} app", "mysql --user=root --password={p}", "mysqldump -uroot -p{p} app", "mysqladmin -u root -p{p} ping", "mariadb -uroot -p'{p}' -e 'select 1'", "PGPASSWORD={p} psql -h db", "psql postgresql://app:{p}@db:5432/app", "psql 'host=db user=app password={p} dbname=app'", "mongo -u admin -p {p} --authenticationDatabase admin", "mongosh -u admin -p {p}", "redis-cli -a {p} ping", "redis-cli -h cache -a {p} ping", "redis-server --requirepass {p}",
    "sqlcmd -S db -U sa -P {p} -Q 'select 1'", "sqlplus app/{p}@db", "bcp dbo.t in f -U sa -P {p}", "ldapsearch -x -D cn=admin -w {p} -b dc=x", "sshpass -p {p} ssh bot@host", "sshpass -p{p} scp a bot@host:", "sshpass -p '{p}' rsync a b", "lftp -u bot,{p} ftp.example.com", "smbclient //h/s -U bot%{p}", "net use Z: \\\\h\\s {p} /user:bot", "unzip -P {p} a.zip", "zip -P {p} a.zip b", "7z x -p{p} a.7z", "openssl enc -d -aes-256-cbc -pass pass:{p} -in a", "openssl pkcs12 -in a.p12 -passin pass:{p}", "openssl rsa -passin pass:{p} -in k", "gpg --batch --passphrase {p} -d a.gpg", "gpg --passphrase={p} -c a",
    "keytool -genkey -storepass {p} -keypass {p2}", "jarsigner -storepass {p} a.jar k", "htpasswd -bc f bot {p}", "twine upload -u bot -p {p} dist/*", "twine upload --username __token__ --password {t}", "npm config set //registry.example.com/:_authToken {t}", "npm config set //registry.example.com/:_authToken={t}", "yarn config set npmAuthToken {t}", "pip install --index-url https://bot:{p}@pypi.example.com/simple a", "poetry config pypi-token.pypi {t}", "poetry config http-basic.acme bot {p}", "cargo login {t}", "cargo publish --token {t}", "gem push --key {t} a.gem", "dotnet nuget push a.nupkg -k {t} -s x",
    "dotnet nuget push a.nupkg --api-key {t}", "nuget setapikey {t} -source x", "nuget sources add -name a -username bot -password {p}", "conan user -p {p} -r acme bot", "composer config http-basic.acme.example.com bot {p}", "composer config github-oauth.github.com {t}", "git clone https://bot:{p}@git.example.com/a.git", "git clone https://oauth2:{t}@gitlab.example.com/a.git", "git clone https://{t}@github.example.com/a/b.git", "git push https://x-access-token:{t}@github.example.com/a/b", "git remote add origin https://{t}:x-oauth-basic@github.example.com/a", "git -c http.extraheader='AUTHORIZATION: basic {B}' fetch",
    "svn co --username bot --password {p} https://svn.example.com", "hg pull --config auth.x.password={p}", "sonar-scanner -Dsonar.login={h40} -Dsonar.host.url=x", "mvn sonar:sonar -Dsonar.token={t}", "mvn -Dgpg.passphrase={p} deploy", "gradle publish -PmavenPassword={p}", "ansible-playbook a.yml -e ansible_password={p}", "ansible-playbook a.yml -e 'db_password={p} user=x'", "ansible-playbook --extra-vars '{{\"pw_token\": \"{t}\"}}'", "terraform apply -var 'db_password={p}'", "terraform apply -var=api_token={t}", "aws configure set aws_secret_access_key {b40}", "aws configure set aws_session_token {b300}", "rabbitmqctl add_user bot {p}", "rabbitmqctl change_password bot {p}", "echo 'bot:{p}' | chpasswd", "echo {p} | sudo -S ls", "useradd -p {p} bot", "expect: send \"{p}\\r\" password",
    "snyk auth {U}", "heroku auth:token {t}", "firebase deploy --token {t}", "surge --token {t}", "netlify deploy --auth {t}", "vercel --token {t} --prod", "codecov -t {U}", "bash <(curl -s https://codecov.example.com) -t {U}", "codecov --token={U}", "doctl auth init -t {h64}", "flyctl auth token {t}", "databricks configure --token {t}", "sentry-cli --auth-token {t} releases", "newman run a --api-key={t}", "ngrok authtoken {t}", "tailscale up --authkey={t}", "k6 login cloud --token {t}", "consul acl --http-token={U}", "java -Djavax.net.ssl.keyStorePassword={p} -jar a.jar", "java -Djavax.net.ssl.trustStorePassword={p} A", "signtool sign /f a.pfx /p {p} a.exe", "xcrun altool --upload-app -u a@example.com -p {apple}", "security unlock-keychain -p {p} build.keychain", "fastlane match --git_basic_authorization {B}", "rsync --password-file=<(echo {p}) a b",
    "snmpwalk -v3 -l authPriv -u bot -a SHA -A {p} -x AES -X {p2} 192.0.2.1", "mc alias set store https://minio.example.com bot {p}", "az keyvault secret set --vault-name acme --name db --value {p}", "aws secretsmanager put-secret-value --secret-id db --secret-string {p}", "aws ssm put-parameter --name /db --type SecureString --value {p}", "gh secret set DB --body {t}", "kubectl create secret generic app --from-literal=db={p} --from-literal=other={t}", "vault kv put kv/app db={p}", "flyctl secrets set DB={p}", "doppler secrets set DB {p}", "dotnet user-secrets set Db:Word {p}", "htpasswd -nb bot {p}", "docker login --password-stdin <<< {p}", "curl -U bot:{p} -x proxy.example.com https://a.example.com", "keytool -importkeystore -srcstorepass {p} -deststorepass {p2}", "Your API key:\n{h64}\n", "+ openssl rand -hex 32\n{h64}\n",
    "Authorization: Bearer {t}", "authorization: bearer {t}", "> Authorization: Basic {B}", "Authorization: token {t}", "< authorization: Token token={t}", "Proxy-Authorization: Basic {B}", "Authorization: Digest username=\"bot\", realm=\"r\", nonce=\"n\", response=\"{h32}\"", "Authorization: AWS4-HMAC-SHA256 Credential=x/20240501/us-east-1/s3/aws4_request, SignedHeaders=host, Signature={h64}", "Authorization: OAuth oauth_consumer_key=\"a\", oauth_signature=\"{b40}\"", "'Authorization': 'Bearer {t}'", '"authorization":["Bearer {t}"]', "headers: {{ Authorization: 'Bearer {t}' }}", "Authorization: ApiKey {t}", "Authorization: GenieKey {U}", "Authorization: SSWS {t}", "Authorization: {t}", "Authorization=Bearer {t}", "authorization header: Bearer {t}",
    "Set-Cookie: session={t}; Path=/; HttpOnly", "set-cookie: JSESSIONID={K32}; Path=/", "Cookie: theme=dark; sessionid={t}; a=b", "Cookie: connect.sid=s%3A{t}.{u43}", "X-Auth-Token: {t}", "X-Vault-Token: {t}", "x-goog-api-key: {t}", "Ocp-Apim-Subscription-Key: {h32}", "X-Shopify-Access-Token: {t}", "X-Amz-Security-Token: {b300}", "DD-API-KEY: {h32}", "X-Figma-Token: {t}", "X-JFrog-Art-Api: {t}", "apikey: {t}", "X-Hub-Signature-256-Secret: {t}", "NuGet-ApiKey: {t}", "Circle-Token: {h40}", "X-Functions-Key: {b54}==", "X-CSRF-Token: {b86}==",
    "postgres://app:{p}@db.example.com:5432/app", "DATABASE_URL=postgresql+psycopg2://app:{p}@db/app?sslmode=require", "mysql://root:{p}@127.0.0.1:3306/app", "mongodb+srv://app:{p}@cluster0.ab1cd.mongodb.net/test?retryWrites=true", "mongodb://app:{p}@a:27017,b:27017/x?replicaSet=r", "redis://:{p}@cache:6379/0", "rediss://default:{p}@cache.example.com:6380", "amqp://bot:{p}@mq:5672/%2f", "amqps://bot:{p}@mq.example.com/vhost", "ftp://bot:{p}@ftp.example.com/a", "https://bot:{p}@nexus.example.com/repo/a.jar", "smtp://bot%40example.com:{p}@smtp.example.com:587", "clickhouse://default:{p}@ch:9000/x", "nats://bot:{p}@nats:4222", "socks5://bot:{p}@proxy:1080", "http://bot:{p}@proxy.example.com:3128", "ldap://cn=admin:{p}@ldap:389", "elasticsearch: http://elastic:{p}@es:9200", "sftp://bot:{p}@h/a", "cassandra://u:{p}@c/ks", "snowflake://bot:{p}@acme/db", "couchdb: http://admin:{p}@couch:5984", "ssh://bot:{p}@h:22/a",
    "jdbc:mysql://db:3306/app?user=app&password={p}", "jdbc:postgresql://db/app?user=app&password={p}&ssl=true", "jdbc:sqlserver://db:1433;databaseName=a;user=sa;password={p};encrypt=true", "jdbc:oracle:thin:app/{p}@//db:1521/x", "jdbc:snowflake://a.example.com/?user=b&password={p}", "Server=db;Database=a;User Id=sa;Password={p};Encrypt=True", "Data Source=db;Initial Catalog=a;User ID=sa;Pwd={p};", "Driver={{ODBC Driver 18}};Server=db;UID=sa;PWD={p}", "host=db port=5432 user=app password='{p}' sslmode=disable", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={b86}==;EndpointSuffix=core.windows.net", "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={b43}=", "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey={b43}=;EntityPath=e", "HostName=a.azure-devices.net;DeviceId=d;SharedAccessKey={b43}=", "AccountEndpoint=https://a.documents.azure.com:443/;AccountKey={b86}==;", "InstrumentationKey={U};IngestionEndpoint=https://x/", "BlobEndpoint=https://a.blob.core.windows.net/;SharedAccessSignature=sv=2021-06-08&ss=b&sig={b43}%3D", "Endpoint=https://a.azconfig.io;Id=a-l0-s0:x;Secret={b43}=", "acme.redis.cache.windows.net:6380,password={b43}=,ssl=True,abortConnect=False", "db.example.com:5432:app:app:{p}", "app:{p}@tcp(db:3306)/app?parseTime=true", "root:{p}@tcp(127.0.0.1:3306)/", "sqlserver://sa:{p}@db?database=a",
    "https://a.blob.core.windows.net/c/b.zip?sv=2021-06-08&st=2024-05-01&se=2024-06-01&sr=b&sp=r&sig={b43}%3D", "https://a.blob.core.windows.net/c?sp=r&sig={u43}%3D&sv=2020", "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Date=20240501T000000Z&X-Amz-Expires=300&X-Amz-Signature={h64}&X-Amz-SignedHeaders=host", "https://b.s3.amazonaws.com/k?AWSAccessKeyId=x&Expires=1714550000&Signature={b27}%3D", "https://storage.googleapis.com/b/o?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature={h128}", "https://d111.cloudfront.net/a?Expires=17&Signature={u170}__&Key-Pair-Id=K1", "https://a.example.com/cb?code={u43}&state=x", "https://a.example.com/x?access_token={t}&v=2", "https://a.example.com/x?token={t}", "https://a.example.com/x?api_key={t}", "https://a.example.com/x?v=1&key={t}", "https://a.example.com/x#access_token={t}&expires_in=3600", "https://a.example.com/x?auth={t}", "https://a.example.com/x?password={p}", "https://a.example.com/x?client_secret={t}&x=1", "https://a.example.com/reset?reset_token={t}", "https://maps.example.com/api?sensor=false&signature={u27}=", "wss://a.example.com/socket?jwt={t}", "https://a.example.com/?hapikey={U}", "https://a.example.com/files/x?st={u22}&e=17", "https://a.example.com/x?session_id={t}",
    "//registry.npm.example/:_authToken={t}", "//registry.example.com/:_password={B}", "//registry.example.com/:_auth={B}", "_auth = {B}", "_auth={B}", "npmAuthToken: {t}", 'npmAuthIdent: "bot:{p}"', "machine git.example.com login bot password {p}", "machine api.example.com\n  login bot\n  password {p}", "machine api.example.com\nlogin bot\npassword {p}", "[pypi]\nusername = __token__\npassword = {p}", "[distutils]\n[testpypi]\nrepository: https://x/\nusername: bot\npassword: {p}", "[default]\naws_access_key_id = x\naws_secret_access_key = {b40}", "<server><id>acme</id><username>bot</username><password>{p}</password></server>", "<password>{p}</password>", "        <passphrase>{p}</passphrase>", "  <privateKey>{t}</privateKey>", '<add key="ClearTextPassword" value="{p}" />', '<add name="Db" connectionString="Server=d;User Id=a;Password={p}" />', ":rubygems_api_key: {t}", "rubygems_api_key: {h40}", "BUNDLE_GITHUB__COM: bot:{p}", "BUNDLE_GEMS__ACME__EXAMPLE: {t}", '[registry]\ntoken = "{t}"', '{{"github-oauth": {{"github.com": "{t}"}}}}', '{{"http-basic": {{"acme.example.com": {{"username": "bot", "password": "{p}"}}}}}}',
    '{{"auths": {{"registry.example.com": {{"auth": "{B}"}}}}}}', '"auth": "{B}"', '"identitytoken": "{t}"', "    token: {t}", "    client-key-data: {P64}", '"client_secret": "{t}", "refresh_token": "1//0{u80}"', '"private_key": "{PJ}"', "  .dockerconfigjson: {DC}", "{DC}", "data:\n  password: {E}", "kind: Secret\ndata:\n  DB_URL: {EU}\ntype: Opaque", '"stringData": {{"pw": "{p}", "api_token": "{t}"}}', "echo {EU} | base64 -d", "echo {PB64} | base64 --decode > key.pem", "SSH_KEY={PB64}", "GOOGLE_CREDENTIALS={GC}", "echo {GC} | base64 -d > key.json", "::add-mask::{t}", "::add-mask::{p}", "##[debug]token={t}", "    -Password {p}", "-Credential bot:{p}", "Password: {p}", "password for bot: {p}", "root password: {p}", "The generated password is {p}", "GENERATED ROOT PASSWORD: {p}", "Temporary password for root@localhost: {p}", "Your password is '{p}'", "new password set to {p}", "using password {p}", "login=bot password={p} retry", "user: bot pass: {p}", "user/pass: bot/{p}", "credentials: bot:{p}", "creds = ('bot', '{p}')", "auth=('bot', '{p}')", "auth: {{ user: 'bot', pass: '{p}' }}", "basic_auth:\n  username: bot\n  password: {p}", "ALTER USER app WITH PASSWORD '{p}'", "CREATE USER app IDENTIFIED BY '{p}'", "GRANT ALL ON *.* TO 'a'@'%' IDENTIFIED BY '{p}'", "SET PASSWORD = '{p}'", "requirepass {p}", "masterauth {p}", "AUTH {p}", "bindpw {p}", "rootpw {p}", "enable secret {p}", "initialAdminPassword: {h32}", "Please use the following password to proceed to installation:\n\n{h32}\n",
    "bot:$apr1${A8}${A22}", "bot:$2y$10${A53}", "root:$6${A16}${A86}:19000:0:99999:7:::", "bcrypt $2b$12${A53}", "{{SSHA}}{b32}", "pbkdf2_sha256$600000${A22}${b43}=", "AuthenticationToken(value={t})", "Credentials [username=bot, password={p}]", "Basic {B}", "Bearer {t}", "secret={t},user=bot", "token: '{t}', user: 'bot'", "SECRET: !vault {t}", "password={p}&login=1", "{{\"password\":\"{p}\"}}", "\\\"password\\\": \\\"{p}\\\"", "&quot;password&quot;: &quot;{p}&quot;", "password%3D{A20}%26user", "pass='{p}'", "--pass '{p}'", "--password \"{p}\"", "-password {p}", "/password:{p}", "--auth bot:{p}", "--auth-token {t}", "--secret {t}", "--access-token={t}", "--apiKey={t}", "--pwd={p}", "--credentials=bot:{p}", "--token={t}", "X_API_SECRET: {t}", "  X_API_SECRET   {t}", "DATABASE_CONNECTION=Server=d;Uid=a;Pwd={p};", "SPRING_APPLICATION_JSON={{\"spring\":{{\"datasource\":{{\"password\":\"{p}\"}}}}}}",
)  # fmt: skip
"""Commands, headers, addresses and files with a secret: {p} a password, {t} a token, {B} `user:password` in
base64, {U} a UUID, {v} Vault's, others an alphabet and a length; {E…}, {P…}, {DC}, {GC} files in base64."""

LOOKALIKES: Final = (
    "AddPasswordResetTokenToUsers: migrating", "helm upgrade x --set auth.existingSecret={8l}-db", "arn:aws:secretsmanager:eu-west-1:{12n}:secret:prod/db-{6A}", "Unpacking libsecret-1-0:amd64 (0.21.4-1) ...", "docker login -u bot --password-stdin", "  + password = (sensitive value)", "Cache key: v1-deps-{43b}=", "Content-MD5: {22b}==", '"n":"{342u}"', "pass=12 fail=0", "cookie: enabled",
    "x-amz-id-2: {75b}=", "gpg: using RSA key {40H}", "Adding host key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{43A}", "docker network create github_network_{32h}", "component pandoc-2.{1d}-{22A}-test-pandoc", "node_id: PR_kwDO{20A}",
    "sessionid = 0x{14h}", "node [{22A}] joined", "TMPDIR=/tmp/tmp.{10A}", "CI_COMMIT_SHA={40h}", "#7 {25k}", "resource aws_instance.x: Creation complete [id=i-0{16h}]",
    "npm ERR! notarget No matching version found for left-pad@{1n}.{2d}.{1d}", "FROM node:20@sha256:{64h}", "Digest: sha256:{64h}", "commit {40h}", "HEAD is now at {7h} Fix token handling", "Merge {40h} into {40h}", '      "integrity": "sha512-{86b}=="', "integrity sha512-{86b}==", "integrity sha1-{27b}=", "github.com/acme/web v1.{1d}.0 h1:{43b}=", "github.com/acme/web v1.{1d}.0/go.mod h1:{43b}=", "x-request-id: {8h}-{4h}-{4h}-{4h}-{12h}", "Request ID: {8h}-{4h}-{4h}-{4h}-{12h}", "trace_id={32h} span_id={16h}", "correlationId: {8h}-{4h}-{4h}-{4h}-{12h}", "{12h}: Pull complete", "{12h}: Pulling fs layer", "/nix/store/{32k}-glibc-2.38", "copying path '/nix/store/{32k}-bash-5.2' from 'https://cache.example.org'", "Cache restored from key: node-modules-v3-Linux-{64h}", "cache key: gradle-{64h}", "key: pip-{40h}", "restore-keys: npm-{32h}-", "ETag: \"{32h}\"", "checksum: {64h}", "sha256sum: {64h}  a.tar.gz", "MD5 ({12l}.zip) = {32h}", "Signature verified for {12l}", "https://files.pypi.example/packages/{2h}/{2h}/{60h}/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl", "Downloading https://repo.example.org/a/b/{10l}-1.{1d}.0.jar (12 kB at 3 MB/s)", "at com.acme.service.TokenServiceImplementation.refreshAccessTokenForUser(TokenServiceImplementation.java:{2n})", "tests/test_password_reset.py::test_password_reset_token_is_single_use PASSED", "src/auth/token.ts({2n},{1n}): error TS2304: Cannot find name 'accessToken'.", "SyntaxError: Unexpected token: '}}' at line {2n}", "Unexpected token < in JSON at position {1n}", "error: expected one of `!` or `::`, found keyword `let`", "KeyError: 'password'", "TypeError: Cannot read properties of undefined (reading 'token')", "AssertionError: expected token to be defined", "password: ***", "Authorization: ***", "AUTHORIZATION: basic ***", "token: ${{{{ secrets.GITHUB_TOKEN }}}}", "PASSWORD=$DB_PASSWORD make", "export TOKEN=[secure]", "token: null", "password: None", "secret: <redacted>", "API_KEY=xxxxxxxxxxxx", "Enter password:", "Password authentication failed for user \"app\"", "fatal: could not read Password for 'https://github.com': terminal prompts disabled", "remote: Invalid username or password.", "error: secret \"registry-credentials\" not found", "prompt_tokens: {4n}", "max_tokens={4n}", "  tokenizer: {8l}", "sort_key: created_at", "primary key: id", "foreign_key: user_id", "public_key: ssh-rsa AAAAB3NzaC1yc2E{100b}", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{43b} ci@example.org", "SHA256:{43b} host (ED25519)", "The key fingerprint is: SHA256:{43b}", "key ID {16H}", "gpg: key {16H}: public key imported", "Build id: {8h}-{4h}-{4h}-{4h}-{12h}", "##[debug]Evaluating condition for step", "runner version: {1n}.{3d}.0 image: ubuntu-22.04@{8d}.1", "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "Got: {60b}== expected: {60b}==", "base64 output: {60b}==", "actual   : {44b}=", "data:image/png;base64,{100b}", "layer {64h} exists", "image: registry.example.org/acme/web@sha256:{64h}", "buildId={40h}", "rev: {40h}", "ref: refs/pull/{3n}/merge", "node_modules/.pnpm/@babel+core@7.{2d}.0_{26k}/node_modules", "/home/runner/.cache/pip/wheels/{2h}/{2h}/{2h}/{56h}", "libfoo.so.1 => /lib/x86_64-linux-gnu/libfoo.so.1 (0x0000{12h})", "_ZN4core3ops8function6FnOnce9call_once17h{16h}E", "target/debug/deps/serde-{16h}.d", "Compiling proc-macro2 v1.0.{2d}", "session duration: {3n} ms", "auth: disabled", "author: Jane Doe", "Author: Bot <bot@example.org>", "keyword: static", "keys: [a, b, c]", "secrets: inherit", "passed: {3n}, failed: {1n}", "pass: {3n}", "bypass=true", "compass_version=1.{1d}", "monkey=banana", "PASS src/token.test.js", "--- PASS: TestPasswordHash ({1n}.{2d}s)", "credential.helper=store", "tokens/s: {3n}.{1n}", "url: https://registry.example.org/acme/web:1.2.3", "git@github.com:acme/web.git", "https://github.com/acme/web/commit/{40h}", "https://github.com/acme/web/actions/runs/{11n}/job/{11n}", "UserWarning: `use_auth_token` is deprecated", "access denied: missing scope repo:status", "TOKEN_EXPIRY=3600", "SECRET_NAME=my-app-secret", "PASSWORD_FILE=/run/secrets/db", "private_key_path: /etc/ssl/private/server.key", "KEY_LENGTH=4096", "JWT_ALGORITHM=RS256", "API_KEY_HEADER=X-Api-Key", "token_endpoint: https://idp.example.org/oauth/token", "version: {40h}", "hash: {32h}", "content_hash = \"{32h}\"", "etag={22u}", "fingerprint: {59h}", "_id: {24h}", "ObjectId('{24h}')", "run_id: {26K}", "container {64h} exited", "pod web-{10h}-{5k} CrashLoopBackOff", "assert b'{40h}' == b'{40h}'", "resolved \"https://registry.yarn.example/a/-/a-1.0.{1d}.tgz#{40h}\"", "Fetching gem metadata from https://gems.example/.........", "Setting up libssl3 (3.0.2-0ubuntu1.{2d}) ...", "WARN deprecated request@2.88.2: see https://github.com/request/request/issues/3142", "export PATH=/opt/hostedtoolcache/Python/3.11.{1d}/x64/bin:/usr/local/bin", "JAVA_HOME=/opt/hostedtoolcache/Java_Temurin-Hotspot_jdk/17.0.{1d}-7/x64", "classpath: /home/runner/.m2/repository/org/apache/commons/commons-lang3/3.12.0/commons-lang3-3.12.0.jar",
)  # fmt: skip
"""Lines that look as if they held a secret, and help a diagnosis: all survive unchanged."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Text with a secret: `secret` lists what must not be left of it, `format` and `syntax` say what was written."""

    text: str
    secret: tuple[str, ...]
    format: str
    syntax: str


def drawn(form: str, chance: random.Random) -> str:
    """A made-up string of a format: `{36A}` is 36 of alphabet A, all else stands for itself."""

    def fill(match: re.Match[str]) -> str:
        alphabet = ALPHABETS[match[2]]
        text = "".join(chance.choices(alphabet, k=int(match[1])))
        # a random draw of letters alone is possible and rare; of a password it would be a word's look
        return text if len(text) < 8 or len(set(text)) > 4 else fill(match)

    return re.sub(r"\{(\d+)([a-zA-Z])\}", fill, form)


def _key_block(chance: random.Random, kind: str = "RSA ") -> tuple[str, tuple[str, ...]]:
    body = tuple(drawn("{64b}", chance) for _ in range(chance.randint(3, 25)))
    return "\n".join((f"-----BEGIN {kind}PRIVATE " + "KEY-----", *body, f"-----END {kind}PRIVATE " + "KEY-----")), body


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _fillers() -> dict[str, Callable[[random.Random], str]]:
    password = ("{14q}", "{10A}", "{20A}", "{16q}", "{9A}7", "{24A}")
    token = ("{40A}", "{32h}", "{43u}", "{24A}", "ghp_{36A}", "eyJ{30u}.eyJ{60u}.{43u}", "{64h}")
    return {
        "p": lambda c: drawn(c.choice(password), c),
        "p2": lambda c: drawn(c.choice(password), c),
        "t": lambda c: drawn(c.choice(token), c),
        "B": lambda c: _base64("bot:" + drawn("{16A}", c)),
        "U": lambda c: drawn("{8h}-{4h}-{4h}-{4h}-{12h}", c),
        "v": lambda c: drawn("hvs.{90u}", c),
        "apple": lambda c: drawn("{4l}-{4l}-{4l}-{4l}", c),
        "E": lambda c: _base64(drawn("{16A}", c)),
        "EU": lambda c: _base64(drawn("postgres://app:{16A}@db.example.com/app", c)),
        "P64": lambda c: _base64(_key_block(c)[0]),
        "PB64": lambda c: _base64(_key_block(c, "OPENSSH ")[0]),
        "PJ": lambda c: _key_block(c, "")[0].replace("\n", "\\n") + "\\n",
        "DC": lambda c: _base64(
            json.dumps({"auths": {"r.example.com": {"auth": _base64("bot:" + drawn("{16A}", c))}}})
        ),
        "GC": lambda c: _base64(
            json.dumps(
                {"type": "service_account", "private_key_id": drawn("{40h}", c), "private_key": _key_block(c, "")[0]}
            )
        ),
    }


_FILLERS: Final = _fillers()


def _passed(syntax: str, chance: random.Random) -> Planted:
    secrets: list[str] = []

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        sized = re.fullmatch(r"([a-zA-Z])(\d+)", name)
        made = drawn(f"{{{sized[2]}{sized[1]}}}", chance) if sized and name not in _FILLERS else _FILLERS[name](chance)
        secrets.append(made)
        return made

    text = re.sub(r"\{([a-zA-Z]+\d*)\}", fill, syntax.replace("{{", "\0").replace("}}", "\1"))
    if "az login" in syntax:
        secrets[:] = secrets[1:2]  # the others are the names of an application and a tenant
    return Planted(text.replace("\0", "{").replace("\1", "}"), tuple(secrets), "passed", syntax)


def corpus(seed: int, each: int = 1) -> Iterator[Planted]:
    """Planted secrets: `each` rounds over all formats, names, values, syntaxes and files."""
    chance = random.Random(seed)  # noqa: S311  repeatable, and no secret
    for _ in range(each):
        for provider, form in TOKENS.items():
            yield from _of(provider, form, chance)
        for syntax in NAMED:
            for form in VALUES:
                name, secret = chance.choice(NAMES), drawn(form, chance)
                yield Planted(syntax.format(n=name, s=secret), (secret,), form, syntax)
        for syntax in PASSED:
            for _ in range(4):
                yield _passed(syntax, chance)
        yield from _blocks(chance)


def _of(provider: str, form: str, chance: random.Random) -> Iterator[Planted]:
    """A provider's token: some by itself, all behind a name."""
    name, _, rest = form.rpartition("=") if re.match(r"[A-Z_0-9]+=", form) else ("", "", form)
    upper = re.sub(r"\W+", "_", provider).upper() + "_TOKEN"
    bare = () if name or provider in _WITH_NAME else chance.sample(BARE, 4)
    for syntax in bare:
        secret = drawn(rest, chance)
        yield Planted(syntax.format(s=secret), (secret,), provider, syntax)
    for syntax in chance.sample(NAMED, 3):
        secret = drawn(rest, chance)
        yield Planted(syntax.format(n=name or upper, s=secret), (secret,), provider, syntax)


def _blocks(chance: random.Random) -> Iterator[Planted]:
    """Private keys: over several lines, behind prefixes, escaped, quoted, cut."""
    for kind in ("RSA ", "", "EC ", "OPENSSH ", "DSA ", "ENCRYPTED "):
        text, body = _key_block(chance, kind)
        lines = text.split("\n")
        for syntax, planted in (
            ("block", text),
            ("indented", "\n".join(f"      {line}" for line in lines)),
            ("timestamps", "\n".join(f"2024-05-01T10:00:00.{i:07}Z {line}" for i, line in enumerate(lines))),
            (
                "steps",
                "\n".join(f"build\tRun make\t2024-05-01T10:00:00.{i:07}Z {line}" for i, line in enumerate(lines)),
            ),
            ("container", "\n".join(f"web-1  | {line}" for line in lines)),
            ("gutter", "\n".join(f"{i:4} | {line}" for i, line in enumerate(lines))),
            ("diff", "\n".join(f"+{line}" for line in lines)),
            ("quoted", "\n".join(f'    "{line}\\n" +' for line in lines)),
            ("escaped", "key = '" + "\\n".join(lines) + "\\n'"),
            ("escaped twice", '{"key": "' + "\\\\n".join(lines) + '"}'),
            ("one line", " ".join(lines)),
            ("windows", "\r\n".join(lines)),
            ("cut", "\n".join(lines[:-1])),
        ):
            yield Planted(planted, body, f"{kind}private key", syntax)


def lookalikes(seed: int) -> Iterator[str]:
    """Lines without a secret."""
    chance = random.Random(seed)  # noqa: S311
    for syntax in LOOKALIKES:
        for _ in range(5):
            yield drawn(syntax.replace("{{", "\0").replace("}}", "\1"), chance).replace("\0", "{").replace("\1", "}")
