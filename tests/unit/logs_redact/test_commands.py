"""Secrets that commands are given where no name tells of one, and values in such places that are none."""

from __future__ import annotations

import random
import re
import time

import pytest

from processor.logs.redact import redactor
from processor.logs.secrets.commands import COMMANDS

CHANCE = random.Random(41)  # noqa: S311  repeatable, and no secret
HEX = "0123456789abcdef"

GIVEN = (
    "ssh-keygen -t ed25519 -N {s} -f id",
    "SUSEConnect -r {s}",
    "cloudflared service install {s}",
    "snmpwalk -v3 -l authPriv -u bot -a SHA -A {s} -x AES -X {s} 192.0.2.1 system",
    "snmpget -v2c -c {s} 192.0.2.1 sysName.0",
    "snmpbulkwalk -v3 -u bot -A{s} 192.0.2.1",
    "+ mc alias set store https://minio.example bot {s}",
    "mc --insecure alias set --api S3v4 store https://minio.example bot {s} --path on",
    "mc.exe config host add store https://minio.example bot '{s}'",
    "mc admin user add store bot {s} && echo done",
    "az keyvault secret set --vault-name acme --name db --value {s}",
    'az.cmd keyvault secret set --value="{s} and more" --name db',
    "aws secretsmanager create-secret --name db --secret-string {s}",
    'aws secretsmanager put-secret-value --secret-id db --secret-string \'{{"user":"bot","word":"{s}"}}\'',
    "aws ssm put-parameter --name /db --value {s} --type SecureString",
    "aws --profile ci configure set aws_secret_access_key {s}",
    "gh secret set DB --body {s} --repo acme/web",
    "gh secret set DB -b{s}",
    "kubectl -n web create secret generic app --from-literal=db={s} --from-literal=other={s}",
    "kubectl create secret generic app --from-literal='db={s} and more' -o yaml",
    "oc create secret generic app --from-literal db={s}",
    "kubectl create secret generic app \\\n  --from-literal=db={s} \\\n  --from-literal=other='{s}'",
    "vault kv put -mount=kv app db={s}",
    "flyctl secrets set DB={s} OTHER={s}",
    "doppler secrets set DB {s} --project web",
    "doppler secrets set DB={s}",
    "pulumi config set --secret web:db {s}",
    "dotnet user-secrets set Db:Word {s} --project src/Web",
    "ansible-vault encrypt_string '{s}' --name db",
    "rclone obscure {s}",
    "sshpass -p {s} ssh -p 2222 bot@host.example ls",
    "sshpass -v -p{s} scp a bot@host.example:b",
    "htpasswd -nbB bot {s}",
    "htpasswd -bc /etc/nginx/users bot {s}",
    "useradd -m -p {s} bot",
    "usermod --password {s} bot",
    "rabbitmqctl add_user bot {s}",
    "mysqladmin -u root password {s}",
    "nmcli device wifi connect lab password {s}",
    "mosquitto_pub -h mq.example -u bot -P {s} -t a -m b",
    "security create-keychain -p {s} build.keychain",
    "security set-key-partition-list -S apple-tool: -s -k {s} build.keychain",
    "osslsigncode sign -pkcs12 a.pfx -pass {s} -in a.exe -out b.exe",
    "AzureSignTool sign -kvu https://acme.vault.example -kvs {s} a.exe",
    "certutil -f -p {s} -importpfx a.pfx",
    "schtasks /create /tn a /ru bot /rp {s}",
    "net user bot {s} /add",
    "xfreerdp /u:bot /p:{s} /v:host.example",
    "java -jar /opt/jenkins-cli.jar -s https://ci.example -auth bot:{s} who-am-i",
    "bw login bot@example.org {s}",
    "samba-tool user create bot {s}",
    "bw unlock {s} --raw",
    "sometool secrets:set DB={s} OTHER={s} --app web",
    "consul kv put secret/web/db {s}",
    "sometool credential add store --value {s}",
    "echo '{s}' | sometool secrets create db --file=-",
    "printf {s} | kinit bot@EXAMPLE.ORG",
    "echo -n {s} | tee /run/secrets/db",
    "echo {s} > .vault-word",
    "sed -i 's/__DB_PASS__/{s}/' config.php",
    "sometool --user bot:{s} get /",
    "nmcli dev wifi con lab password {s}",
    "Command '['mc', 'alias', 'set', 'store', 'https://minio.example', 'bot', '{s}']' returned non-zero exit status 1.",
    'RUN ["snmpwalk","-v3","-A","{s}","192.0.2.1"]',
    '{{"cmd": "kubectl create secret generic app --from-literal=db=\\"{s}\\" -o yaml"}}',
    "Error: 'mc alias set store https://minio.example bot {s}' failed: it's down",
    "TOKEN=$(vault kv patch kv/app db={s}) && echo ok",
    "curl -U bot:{s} -x proxy.example https://a.example",
    "curl -u :{s} https://a.example",
    "curl.exe -su 'bot:two words {s}' https://a.example",
    "docker login --password-stdin <<< {s}",
    "sudo chpasswd <<< 'bot:{s}'",
    "keytool -importkeystore -srcstorepass {s} -deststorepass {s} -srckeystore a",
    "openssl pkcs12 -in a.p12 -passin pass:{s} -passout pass:{s}",
    "helm upgrade web . --set image.tag=v1.2,db.password={s} --wait",
)
"""Commands with a secret, {s}, that could be any word with a sign in it."""

STAYS = (
    "snmpwalk -v2c -c public 192.0.2.1 system",
    "snmpget: Timeout: No Response from 192.0.2.1",
    "mc alias set ALIAS URL ACCESSKEY SECRETKEY",
    "mc alias set store https://minio.example $USER $SECRET",
    "mc alias set store https://minio.example *** ***",
    "run mc alias set to configure the server first",
    "az keyvault secret set --vault-name acme --name db --file cert.pem",
    "the option --value of az keyvault secret set --value is required",
    "aws ssm put-parameter --name /web/tag --value v1.2.3 --type String",
    "aws configure set region eu-west-1",
    "gh secret set DB < db.txt",
    "kubectl create secret generic app --from-file=./db.txt --from-literal=db=$DB",
    "kubectl create secret generic app --from-literal=username=bot --from-literal=port=5432 --dry-run=client",
    "kubectl create secret tls web --cert=tls.crt --key=tls.pem",
    "kubectl create configmap app --from-literal=color=blue-ish7",
    'error: failed to create secret secrets "app" already exists',
    "vault kv put kv/app @app.json",
    "vault kv get -field=db kv/app",
    "fly secrets set DB=${DB}",
    "pulumi config set aws:region us-west-2",
    "the dotnet user-secrets set command stores a value",
    "ansible-vault encrypt_string to stdout",
    "sshpass -e ssh -p 2222 bot@host.example",
    "sshpass -f word.txt scp -p a bot@host.example:b",
    "htpasswd -c users bot",
    "useradd: user 'bot' already exists",
    "rabbitmqctl list_users --formatter json",
    "mysqladmin: connect to server at 'localhost' failed",
    "security find-identity -v -p codesigning",
    'security create-keychain -p "" build.keychain',
    "net user bot /delete",
    "ssh -p 2222 bot@host.example; docker run -p 8080:80 web",
    "curl -u $USER:$PASS -o out.json https://a.example",
    "curl -u bot: https://a.example",
    "openssl pkcs12 -passin env:PASS -passout file:out.txt -in a.p12",
    "helm upgrade web . --set image.tag=v1.2.3 --set replicas=3 --set auth.enabled=true",
    "cat <<< hello",
    "git config set core.editor vim",
    "npm config set registry https://registry.example",
    "heroku config:set RAILS_ENV=production -a web",
    "consul kv put web/color blue",
    "kv put failed: connection refused",
    "echo done | tee build.log",
    "echo 'no token in the answer' > out.txt",
    "docker run --user node:node -p 8080:80 web",
    "docker run -u 1000:1000 web",
    "sed -i 's/token/tokens/' a.txt",
    "mkdir -p Project2024/Build",
    "dotnet test -p Web.Tests2",
)
"""Commands, usage and sentences that hold no secret."""


def weak() -> str:
    """What a person takes for a password."""
    return CHANCE.choice(("Copper", "Walnut", "Saturn")) + CHANCE.choice(("#77", "!!", "_99"))


@pytest.mark.parametrize("command", GIVEN)
def test_secret_of_a_command_goes(command: str) -> None:
    """Whatever it is, and as often as it is there; what stands around it stays, and twice is once."""
    secret = weak()
    line = command.format(s=secret)
    clean = redactor().redact_text(f"Run step 4\n{line}\nError: exit status 1\n")
    assert secret[2:] not in clean
    assert clean.startswith("Run step 4\n" + line.split()[0])
    assert clean.endswith("\nError: exit status 1\n")
    assert clean.count("\n") == line.count("\n") + 3
    assert redactor().redact_text(clean) == clean


@pytest.mark.parametrize("line", STAYS)
def test_what_only_stands_in_such_a_place_stays(line: str) -> None:
    """Variables, masks, usage, sentences, names of users, and commands of other tools with the same options."""
    assert redactor().redact_text(f"{line}\nnext") == f"{line}\nnext"


def test_every_command_is_tried() -> None:
    """Each row of the table is one of the commands here."""
    rows = [re.compile(rf"(?<![\w.-]){row.words}[ \"']") for row in COMMANDS]
    assert [row.pattern for row in rows if not any(map(row.search, GIVEN))] == []


def test_commands_on_one_line_take_no_longer_than_their_words() -> None:
    """Thousands of a command's name on a line are read once."""
    line = b"useradd " * 8000
    began = time.process_time()
    assert redactor().redact(line) is line
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("above", "digits"),
    [
        ("Your API key:", 64),
        ("A new secret", 64),
        ("+ openssl rand -hex 32", 64),
        ("Use this token to log in:", 32),
        ("2024-05-01T10:00:00.1234567Z api_key", 48),
        ("The token:\n", 40),
    ],
)
def test_number_below_a_word_goes(above: str, digits: int) -> None:
    """What is alone on the line below a key, a secret or a token is one, behind a runner's stamp as well."""
    number = "".join(CHANCE.choices(HEX, k=digits))
    clean = redactor().redact_text(f"{above}\n2024-05-01T10:00:00.1234567Z {number}\nnext")
    assert clean == f"{above}\n2024-05-01T10:00:00.1234567Z [token:1]\nnext"


@pytest.mark.parametrize(
    "above",
    [
        "Cache key:",
        "public key:",
        "digest of the token:",
        "Primary key fingerprint:",
        "image id of the key:",
        "commit of the token:",
        "monkey:",
        "all keys:",
        "found no key in the index of",
        "gpg: using RSA key",
    ],
)
def test_number_below_other_words_stays(above: str) -> None:
    """Hashes of commits, digests, keys of caches, fingerprints, and numbers below words that tell of nothing."""
    text = f"{above}\n{''.join(CHANCE.choices(HEX, k=64))}\nnext"
    assert redactor().redact_text(text) == text


def test_commit_below_a_sentence_stays() -> None:
    """Forty digits below a line that merely ends in such a word are a commit's."""
    text = f"Merge the change of the token\n{''.join(CHANCE.choices(HEX, k=40))}\nnext"
    assert redactor().redact_text(text) == text
