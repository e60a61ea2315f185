"""Documentation: links that lead nowhere, found by MkDocs and Sphinx."""

from __future__ import annotations

from tools.record.fault import Fault, Sandbox, Span, kind


@kind("mkdocs/broken_link", {"page": "operations/retention.md"}, keep=(2,), tools={"python": "python3 --version"})
def broken_link(run: int, page: str) -> Fault:
    """A link of the documentation leads nowhere."""
    pages = {
        f"docs/guide/{noun}.md": f"# {noun}\n\nSee [home](../index.md).\n"
        for noun in ("install", "configure", "upgrade", "backup", *(("restore",) if run else ()))
    }
    return Fault(
        repo="acme/handbook",
        job="docs",
        category="link_check",
        alt=("build", "config_script"),
        files={
            "mkdocs.yml": "site_name: Handbook\nvalidation:\n  links:\n    not_found: warn\n",
            "docs/index.md": f"# Handbook\n\nHow long data are kept: [retention]({page}).\n",
            **pages,
        },
        script=("pip install mkdocs==1.6.1", "mkdocs build --strict"),
        spans=(Span(r"^WARNING .*" + page), Span(r"^Aborted with \d+ warnings? in strict mode")),
    )


DOCS_SERVER = (
    "mkdir -p /srv/site && cd /srv/site && touch index.html install.html upgrade.html api.html",
    "nohup /opt/python/bin/python3 -m http.server 8099 --bind 127.0.0.1 >/dev/null 2>&1 &",
    "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8099) 2>/dev/null && break; sleep 0.1; done",
)


@kind("sphinx/linkcheck", {"page": "migration-2019.html"}, keep=(2,), tools={"python": "python3 --version"})
def linkcheck(run: int, page: str) -> Fault:
    """An outside link of the documentation answers 404."""
    links = "\n".join(
        f"* `{name} <http://docs.acme.example:8099/{name}.html>`_"
        for name in ("index", "install", "upgrade", *(("api",) if run else ()))
    )
    return Fault(
        repo="acme/handbook",
        job="linkcheck",
        category="link_check",
        files={
            "source/conf.py": 'project = "Handbook"\nlinkcheck_retries = 1\nlinkcheck_timeout = 5\n',
            "source/index.rst": f"Handbook\n========\n\n{links}\n"
            f"* `migration <http://docs.acme.example:8099/{page}>`_\n",
        },
        script=("pip install sphinx==8.1.3", "python3 -m sphinx -b linkcheck source build/linkcheck"),
        spans=(Span(r"broken +http://docs.acme.example:8099/" + page),),
        sandbox=Sandbox(prepare=DOCS_SERVER),
    )
