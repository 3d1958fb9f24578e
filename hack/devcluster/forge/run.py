"""Bringing the forge up and down."""

import ssl
import time
import urllib.error
import urllib.request

from devcluster import services
from devcluster.commands import say
from devcluster.forge import server
from devcluster.forge.paths import ADMIN, Forge
from devcluster.forge.seed import seed
from devcluster.settings import Layout
from devcluster.wait import until

BOTS = ("author-bot", "reviewer-bot", "merge-bot", "read-bot")


def up(layout: Layout, address: str) -> None:
    """Start the forge on one address of this machine and fill it.

    Raises:
        TimeoutError: When it does not answer within a minute.

    """
    began = time.monotonic()
    forge = Forge(layout, address)
    server.prepare(forge)
    server.make_admin(forge)
    server.start(forge)
    until(lambda: healthy(forge), "the forge to answer", seconds=60)
    seed(forge)
    say(f"the forge is filled: {time.monotonic() - began:.1f} s")


def healthy(forge: Forge) -> bool:
    """Whether it answers its health check over HTTPS with the right certificate."""
    context = ssl.create_default_context(cafile=str(forge.ca))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(f"{forge.url}/api/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def down(layout: Layout) -> None:
    """Stop the forge."""
    services.stop("gitea", layout)


def facts(layout: Layout, address: str) -> dict[str, str]:
    """What tests and demos want to know about the forge."""
    forge = Forge(layout, address)
    tokens = {f"GITEA_TOKEN_{bot.replace('-', '_').upper()}": str(forge.token(bot)) for bot in BOTS}
    return {
        "GITEA_URL": forge.url,
        "GITEA_CA": str(forge.ca),
        "GITEA_ACCESS_LOG": str(forge.access_log),
        "GITEA_ADMIN": ADMIN,
        "GITEA_ADMIN_PASSWORD_FILE": str(forge.admin_password),
        "GITEA_ADMIN_TOKEN": str(forge.token(ADMIN)),
        **tokens,
    }
