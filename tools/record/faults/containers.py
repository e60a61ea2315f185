"""Container images: pulls that fail, with the Docker client and skopeo against a registry on the job's machine."""

from __future__ import annotations

import json

from tools.record.fault import Fault, Sandbox, Span, kind
from tools.record.projects import python

SKOPEO = {"skopeo": "apt-cache policy skopeo | grep Candidate"}
DOCKER = {"docker": "docker --version"}
REGISTRY = """
import http.server, json, sys
STATUS, CODE, MESSAGE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("docker-distribution-api-version", "registry/2.0")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status == 401:
            self.send_header("www-authenticate", 'Basic realm="registry"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def do_GET(self):
        if self.path in ("/v2/", "/v2"):
            return self.answer(401 if STATUS == 401 else 200, {})
        self.answer(STATUS, {"errors": [{"code": CODE, "message": MESSAGE, "detail": {}}]})
    do_HEAD = do_GET
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Handler)
if len(sys.argv) > 4:
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
ANSWERS = {
    "gone": (404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "denied": (401, "UNAUTHORIZED", "authentication required"),
    "limited": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
}
SPANS = {
    "gone": r"(manifest unknown|no such manifest)",
    "denied": r"(authentication required|unauthorized|no basic auth credentials)",
    "limited": r"(toomanyrequests|too many requests|Too Many Requests)",
}


def _registry(answer: str, certificate: str = "") -> tuple[str, ...]:
    """Commands that start a registry, with TLS where ``certificate`` names a file to make one in."""
    status, code, message = ANSWERS[answer]
    make = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=registry.acme.example -keyout {certificate} "
        f"-out /srv/registry.crt && cat /srv/registry.crt >> {certificate}"
    )
    return (
        make if certificate else "true",
        f"mkdir -p /srv/double && cat > /srv/double/registry.py <<'PY'{REGISTRY}PY",
        f"set -- {status} {code} {json.dumps(message)} {certificate}",
        'nohup /opt/python/bin/python3 /srv/double/registry.py "$@" >/dev/null 2>&1 &',
        "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/5000) 2>/dev/null && break; sleep 0.1; done",
    )


@kind(
    "image/skopeo_pull",
    {"image": "ci/node:20.99-bookworm", "answer": "gone"},
    {"image": "ci/private-jdk:17", "answer": "denied"},
    {"image": "library/postgres:16", "answer": "limited"},
    keep=(3, 1, 1),
    tools=SKOPEO,
)
def skopeo_pull(run: int, image: str, answer: str) -> Fault:
    """The registry does not give the image of a job."""
    return Fault(
        repo="acme/images",
        job="mirror",
        category="image_pull",
        files=python("images", 4, run),
        setup=("apt-get update -qq && apt-get install -y -qq --no-install-recommends skopeo",),
        script=(
            "skopeo --version",
            f"skopeo copy --src-tls-verify=false docker://registry.acme.example:5000/{image} dir:base",
        ),
        spans=(Span(SPANS[answer]),),
        sandbox=Sandbox(prepare=_registry(answer)),
        style="steps" if run == 1 else "plain",
    )


@kind(
    "image/docker_manifest",
    {"image": "ci/web-runtime:2026.11", "answer": "gone"},
    {"image": "ci/web-runtime:2026.11", "answer": "denied"},
    keep=(2, 1),
    tools=DOCKER,
)
def docker_manifest(run: int, image: str, answer: str) -> Fault:
    """The Docker client asks the registry for an image that it does not give."""
    return Fault(
        repo="acme/images",
        job="promote",
        category="image_pull",
        files=python("images", 5, run),
        script=("docker --version", f"docker manifest inspect --insecure registry.acme.example:5000/{image}"),
        spans=(Span(SPANS[answer]),),
        sandbox=Sandbox(prepare=_registry(answer, "/srv/registry.pem")),
    )
