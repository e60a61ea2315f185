"""OAuth 2.0 for Jira Cloud: tokens by client credentials or a refresh token, in time and after a 401, never shown."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from processor.settings import JiraSettings
from processor.tickets.jira import JiraClient, Unauthorised, Unavailable
from tests.servers.jira_cloud import JiraCloud
from tests.servers.oauth import TokenServer

SITE = "https://example.atlassian.net"


@dataclass
class World:
    """A token endpoint, a Cloud behind its gateway, and clients of both."""

    tokens: TokenServer
    cloud: JiraCloud
    folder: Path

    def client(self, **more: Any) -> JiraClient:
        """A client that has been told the client's secret by a file."""
        secret = self.folder / "secret"
        secret.write_text(self.tokens.secret + "\n")
        oauth = {"client_id": "client", "client_secret_file": secret, "cloud_id": self.cloud.cloud_id}
        oauth |= {"token_url": f"{self.tokens.url}/oauth/token", "api_url": self.cloud.url, **more}
        url = self.cloud.site or SITE
        return JiraClient(JiraSettings(url=url, deployment="cloud", oauth=oauth, timeout_s=5.0))

    def refreshed(self) -> Path:
        """The file with the refresh token of an app that a person has allowed."""
        file = self.folder / "refresh"
        file.write_text(self.tokens.refresh)
        return file


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Both servers; the Cloud takes the endpoint's tokens only."""
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(JiraCloud())
        tokens = await stack.enter_async_context(TokenServer())
        cloud.site, cloud.accepted = SITE, tokens.accepted
        yield World(tokens, cloud, tmp_path)


async def test_client_credentials_give_one_token_for_many_requests(world: World) -> None:
    """Asked for once, also by requests at once."""
    client = world.client()
    await asyncio.gather(*(client.search("BUILD", f"fs-{number}") for number in range(4)))
    assert await client.myself() == {world.cloud.me.account}
    assert world.tokens.asked == ["client_credentials"]
    await client.close()


async def test_token_is_replaced_before_it_ends(world: World) -> None:
    """A short life ends a fifth earlier: the next request brings another, without a 401 in between."""
    world.tokens.life_s = 0.0001
    client = world.client()
    await client.search("BUILD", "fs-1")
    await client.search("BUILD", "fs-1")
    assert len(world.tokens.asked) == 2
    assert len(set(world.cloud.authorisations)) == 2
    await client.close()


async def test_token_that_is_refused_is_replaced_and_the_request_sent_again(world: World) -> None:
    """Revoked in mid-run: requests at once ask for one new token together, and none is lost."""
    client = world.client()
    await client.search("BUILD", "fs-1")
    world.tokens.forget()
    await asyncio.gather(*(client.search("BUILD", f"fs-{number}") for number in range(4)))
    assert len(world.tokens.asked) == 2
    await client.close()


async def test_refresh_token_is_kept_for_the_next_start(world: World) -> None:
    """Each use gives another, which is in the file before a restart needs it."""
    file = world.folder / "refresh"
    file.write_text(world.tokens.refresh)
    for _ in range(2):  # two starts of the daemon
        client = world.client(refresh_token_file=file)
        await client.search("BUILD", "fs-1")
        await client.close()
    assert world.tokens.asked == ["refresh_token"] * 2
    assert file.read_text().strip() == world.tokens.refresh
    assert file.stat().st_mode & 0o077 == 0


async def test_site_is_looked_up_where_it_is_not_set(world: World) -> None:
    """By its address, among those that the app may see."""
    client = world.client(cloud_id=None)
    assert await client.search("BUILD", "fs-1") == []
    await client.close()


async def test_site_that_the_app_may_not_see_is_named(world: World) -> None:
    """The error says which settings to check."""
    client = world.client(cloud_id=None, refresh_token_file=world.refreshed())
    world.cloud.site = "https://third.example.com"
    with pytest.raises(Unauthorised, match=r"no access to https://example\.atlassian\.net"):
        await client.search("BUILD", "fs-1")
    await client.close()


async def test_site_of_a_service_account_tells_its_id_itself(world: World) -> None:
    """Where its token is told of no sites."""
    world.cloud.lists, world.cloud.site = False, world.cloud.url
    client = world.client(cloud_id=None)
    assert await client.search("BUILD", "fs-1") == []
    assert world.cloud.seen[-1] == ("GET", "/rest/api/3/search/jql")
    await client.close()


async def test_token_requests_are_as_documented(world: World) -> None:
    """JSON with exactly the documented members: a refresh token names itself, client credentials name nothing else."""
    for more in ({}, {"scope": "read:jira-work"}, {"refresh_token_file": world.refreshed()}):
        client = world.client(**more)
        await client.search("BUILD", "fs-1")
        await client.close()
    who = {"grant_type", "client_id", "client_secret"}
    assert [set(body) for body in world.tokens.bodies] == [who, who | {"scope"}, who | {"refresh_token"}]


async def test_refused_client_is_told_without_its_secret(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the settings; what the endpoint says, which may hold the secret, is not repeated."""
    client = world.client()
    told = world.tokens.secret
    world.tokens.secret = uuid.uuid4().hex
    with pytest.raises(Unauthorised, match=r"jira\.oauth\.token_url.*client_secret_file") as caught:
        await client.search("BUILD", "fs-1")
    assert told not in f"{caught.value} {capsys.readouterr()}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    (world.folder / "secret").write_text(world.tokens.secret)  # rotated: read again without a restart
    assert await client.search("BUILD", "fs-1") == []
    await client.close()


async def test_endpoint_that_is_away_is_waited_for(world: World) -> None:
    """No token is no refusal: the role tries again."""
    client = world.client()
    world.tokens.away = True
    with pytest.raises(Unavailable, match=r"jira\.oauth\.token_url"):
        await client.search("BUILD", "fs-1")
    world.tokens.away = False
    assert await client.search("BUILD", "fs-1") == []
    await client.close()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"token": "t"}, "set one of them"),
        ({"deployment": "datacenter"}, "is for Jira Cloud"),
        ({"oauth": {"client_id": "c"}}, "needs client_secret"),
    ],
)
def test_settings_that_contradict_each_other_are_errors(more: dict[str, Any], said: str) -> None:
    """One way to show who we are, and one that the server knows."""
    oauth = {"client_id": "c", "client_secret": uuid.uuid4().hex}
    with pytest.raises(ValidationError, match=said):
        JiraSettings(**{"url": SITE, "oauth": oauth, **more})
