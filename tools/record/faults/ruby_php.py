"""Bundler, RubyGems and Composer, against packages on the job's machine."""

from __future__ import annotations

import json

from tools.record.fault import Dependency, Fault, Span, kind
from tools.record.projects import python

RUBY = {"ruby": "apt-cache policy ruby | grep Candidate"}
PHP = {"composer": "apt-cache policy composer | grep Candidate"}
APT = "apt-get update -qq && apt-get install -y -qq --no-install-recommends "
GEMSPEC = """Gem::Specification.new do |s|
  s.name = "acme-pricing"; s.version = "1.2.0"; s.summary = "Pricing"; s.authors = ["Acme"]; s.files = []
  s.required_ruby_version = "%s"
end
"""


def _ruby(run: int, files: dict[str, str], script: str, span: Span, **more: object) -> Fault:
    build = (
        "mkdir -p /srv/gems/gems && cp acme-pricing.gemspec /srv/gems/ && cd "
        "/srv/gems && gem build -q acme-pricing.gemspec && mv *.gem gems/ && gem generate_index -d /srv/gems"
    )
    return Fault(
        repo="acme/shop",
        job="bundle",
        files={**python("shop", 3, run), "acme-pricing.gemspec": GEMSPEC % more.pop("ruby", ">= 2.7"), **files},
        setup=(APT + "ruby bundler", f"({build})"),
        script=("ruby --version", script),
        spans=(span,),
        style="steps" if run else "plain",
        **{"category": "dependency_resolution", "alt": ("dependency_missing",), **more},  # type: ignore[arg-type]
    )


@kind("ruby/no_gem", tools=RUBY)
def no_gem(run: int) -> Fault:
    """A Gemfile names a gem that its source does not have."""
    files = {"Gemfile": 'source "file:///srv/gems"\ngem "acme-pricing", "~> 1.0"\ngem "acme-ledger", "~> 2.1"\n'}
    wanted = Dependency("acme-ledger", "~> 2.1", "gem")
    return _ruby(run, files, "bundle install", Span(r"Could not find gem"), dependency=wanted)


@kind("ruby/old_ruby", tools=RUBY)
def old_ruby(run: int) -> Fault:
    """A gem needs a newer Ruby."""
    wanted = Dependency("acme-pricing", "1.2.0", "gem")
    more = {"ruby": ">= 3.9", "category": "dependency_incompatible", "alt": ("environment",), "dependency": wanted}
    return _ruby(
        run, {}, "gem install --local /srv/gems/gems/acme-pricing-1.2.0.gem", Span(r"requires Ruby version"), **more
    )


@kind("ruby/frozen", tools=RUBY)
def frozen(run: int) -> Fault:
    """The Gemfile was edited, its lock was not, and the deployment may not change it."""
    files = {
        "Gemfile": 'source "file:///srv/gems"\ngem "acme-pricing", "~> 1.2"\n',
        "Gemfile.lock": "GEM\n  remote: file:///srv/gems/\n  specs:\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n\n"
        "BUNDLED WITH\n   2.3.15\n",
    }
    script = "bundle config set --local deployment true && bundle install"
    span = Span(r"You are trying to install in deployment mode|frozen|deployment mode")
    return _ruby(run, files, script, span, alt=("config_script",))


@kind("ruby/load_error", tools=RUBY)
def load_error(run: int) -> Fault:
    """A script requires a gem that is not installed."""
    files = {"ci/report.rb": 'require "json"\nrequire "acme/ledger"\n\nputs JSON.generate({})\n'}
    more = {
        "category": "dependency_missing",
        "alt": ("environment",),
        "dependency": Dependency("acme/ledger", None, "gem"),
    }
    return _ruby(run, files, "ruby ci/report.rb", Span(r"cannot load such file"), **more)


def _composer(run: int, require: dict[str, str], script: str, span: Span, **more: object) -> Fault:
    package = {"name": "acme/sdk", "version": "1.4.0", "require": {"php": ">=8.9"} if more.pop("strict", False) else {}}
    manifest = {
        "name": "acme/shop",
        "repositories": [{"type": "path", "url": "lib/sdk"}, {"packagist.org": False}],
        "require": require,
    }
    return Fault(
        repo="acme/shop",
        job="composer",
        files={
            **python("shop", 3, run),
            "lib/sdk/composer.json": json.dumps(package),
            "composer.json": json.dumps(manifest, indent=2),
        },
        setup=(APT + "composer php-cli", *more.pop("setup", ())),  # type: ignore[misc]
        script=("php --version", script),
        spans=(span,),
        env={"COMPOSER_ALLOW_SUPERUSER": "1"},
        style="steps" if run else "plain",
        **{"category": "dependency_resolution", "alt": ("dependency_missing",), **more},  # type: ignore[arg-type]
    )


UPDATE = "composer update --no-interaction --no-progress"


@kind("composer/no_package", tools=PHP)
def no_package(run: int) -> Fault:
    """A package that no repository has."""
    wanted = Dependency("acme/ledger-client", "^2.0", "composer")
    span = Span(r"Root composer.json requires acme/ledger-client")
    return _composer(run, {"acme/sdk": "^1.4", "acme/ledger-client": "^2.0"}, UPDATE, span, dependency=wanted)


@kind("composer/no_version", tools=PHP)
def composer_no_version(run: int) -> Fault:
    """A version that no repository has."""
    wanted = Dependency("acme/sdk", "^9.0", "composer")
    return _composer(
        run, {"acme/sdk": "^9.0"}, UPDATE, Span(r"Root composer.json requires acme/sdk"), dependency=wanted
    )


@kind("composer/php_version", tools=PHP)
def php_version(run: int) -> Fault:
    """A package needs a newer PHP."""
    wanted = Dependency("acme/sdk", "1.4.0", "composer", accept=("php",))
    more = {"strict": True, "category": "dependency_incompatible", "alt": ("environment", "dependency_resolution")}
    span = Span(r"your php version", None)
    return _composer(run, {"acme/sdk": "^1.4"}, UPDATE, span, dependency=wanted, **more)


@kind("composer/extension", tools=PHP)
def php_extension(run: int) -> Fault:
    """The project needs an extension of PHP that is not installed."""
    more = {"category": "environment", "alt": ("dependency_missing", "dependency_resolution")}
    wanted = Dependency("ext-imagick", None, "composer", accept=("imagick", "php-imagick"))
    span = Span(r"requires PHP extension ext-imagick")
    return _composer(run, {"acme/sdk": "^1.4", "ext-imagick": "*"}, UPDATE, span, dependency=wanted, **more)


@kind("composer/stale_lock", tools=PHP)
def stale_lock(run: int) -> Fault:
    """composer.json was edited, its lock was not."""
    edit = (
        "COMPOSER_ALLOW_SUPERUSER=1 " + UPDATE,
        "rm -rf vendor",
        'sed -i \'s/"acme.sdk": "^1.4"/"acme\\/sdk": "^1.4", "acme\\/ledger": "^1"/\' composer.json',
    )
    span = Span(r"Required package \"acme/ledger\" is not present in the lock file")
    wanted = Dependency("acme/ledger", None, "composer")
    script = "composer install --no-interaction --no-progress"
    return _composer(run, {"acme/sdk": "^1.4"}, script, span, setup=edit, dependency=wanted)
