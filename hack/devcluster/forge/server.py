"""Configuration and process of the forge."""

import os
import pwd
import secrets
import shutil
from pathlib import Path

from devcluster import services, tools
from devcluster.commands import run
from devcluster.forge.paths import ADMIN, Forge
from devcluster.pki import Authority
from devcluster.services import Service
from devcluster.settings import NETWORK

_CONFIG = """\
APP_NAME = Doorward development forge
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {home}
[server]
PROTOCOL = https
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {url}/
CERT_FILE = {home}/tls/forge.crt
KEY_FILE = {home}/tls/forge.key
STATIC_ROOT_PATH = {home}/static
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {home}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {home}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
INTERNAL_TOKEN = {internal}
DISABLE_GIT_HOOKS = true
[oauth2]
ENABLED = false
JWT_SECRET = {jwt}
[service]
DISABLE_REGISTRATION = true
DEFAULT_KEEP_EMAIL_PRIVATE = true
[session]
PROVIDER = memory
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[packages]
ENABLED = false
[mailer]
ENABLED = false
[cron]
ENABLED = false
[other]
ENABLE_FEED = false
[log]
ROOT_PATH = {home}/log
MODE = console
LEVEL = Warn
logger.access.MODE = access-file
ACCESS_LOG_TEMPLATE = `{access}`
[log.access-file]
MODE = file
LEVEL = Info
FILE_NAME = access.log
FLAGS = none
LOG_ROTATE = false
"""

_ACCESS = (
    '{"time":{{printf "%q" (.Start.UTC.Format "2006-01-02T15:04:05.000000Z07:00")}},'
    '"remote":{{printf "%q" .Ctx.RemoteHost}},"user":"{{.Identity}}",'
    '"method":{{printf "%q" .Ctx.Req.Method}},"path":{{printf "%q" .Ctx.Req.URL.RequestURI}},'
    '"status":{{.ResponseWriter.Status}},"bytes":{{.ResponseWriter.Size}},'
    '"agent":{{printf "%q" .Ctx.Req.UserAgent}}}'
)


def account() -> tuple[str, int | None]:
    """The user the forge runs as, and its number when we must become it. It refuses to run as root."""
    if os.geteuid() == 0:
        return "nobody", pwd.getpwnam("nobody").pw_uid
    return pwd.getpwuid(os.geteuid()).pw_name, None


def prepare(forge: Forge) -> None:
    """Write certificates and configuration, and copy the program to where its user can read it."""
    for folder in ("tls", "log", "repositories"):
        (forge.home / folder).mkdir(parents=True, exist_ok=True)
    names = (forge.address, "127.0.0.1", "localhost", "gitea.forge.svc", "gitea.forge.svc.cluster.local")
    Authority(forge.home / "tls", "forge-ca").issue("forge", "gitea", names=names)
    shutil.copy2(tools.path("gitea"), forge.home / "gitea")
    shutil.copytree(tools.gitea_static(), forge.home / "static", dirs_exist_ok=True)
    forge.config.touch(mode=0o600)
    forge.config.write_text(_configuration(forge))
    number = account()[1]
    if number is not None:
        run("chown", "-R", f"{number}:{number}", forge.home)


def _configuration(forge: Forge) -> str:
    return _CONFIG.format(
        user=account()[0],
        home=forge.home,
        address=forge.address,
        port=NETWORK.gitea_port,
        url=forge.url,
        access=_ACCESS,
        secret=secrets.token_hex(32),
        jwt=secrets.token_urlsafe(32),
        internal=secrets.token_urlsafe(48),
    )


def administrate(forge: Forge, *argv: str) -> str:
    """Run one of the forge's own commands as its user, and return what it printed."""
    user, number = account()
    become = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--"] if number else []
    env = _environment(forge, user) | {"PATH": os.environ["PATH"]}
    return run(*become, forge.home / "gitea", "--config", forge.config, *argv, env=env)


def make_admin(forge: Forge) -> None:
    """Make the tables and the administrator; its password goes to a file of mode 0600."""
    administrate(forge, "migrate")
    password = secrets.token_urlsafe(24)
    write_secret(forge.admin_password, password)
    administrate(
        forge, "admin", "user", "create", "--admin", "--username", ADMIN,
        "--email", f"{ADMIN}@example.invalid", "--password", password, "--must-change-password=false",
    )  # fmt: skip


def start(forge: Forge) -> None:
    """Start the server in the host's network namespace."""
    user, number = account()
    argv = (str(forge.home / "gitea"), "--config", str(forge.config), "web")
    services.start(
        Service("gitea", argv, inside=False, user=number, env=_environment(forge, user)), forge.layout
    )


def _environment(forge: Forge, user: str) -> dict[str, str]:
    return {"HOME": str(forge.home), "USER": user, "GITEA_WORK_DIR": str(forge.home)}


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
