"""Fills the forge from `hack/gitea`. Done twice, it changes nothing."""

import base64
import secrets
from pathlib import Path
from typing import Any

import yaml

from devcluster.forge.client import ForgeClient
from devcluster.forge.paths import ADMIN, Forge
from devcluster.forge.server import write_secret
from devcluster.settings import HACK

_SEED = HACK / "gitea"


def seed(forge: Forge) -> None:
    """Make organisation, repositories, issues, protection, teams, accounts and tokens."""
    plan = yaml.safe_load((_SEED / "seed.yaml").read_text())
    admin = ForgeClient(forge.url, forge.ca, f"{ADMIN}:{forge.admin_password.read_text()}")
    organisation = plan["organisation"]
    admin.ensure("POST", "/orgs", {"username": organisation, "visibility": "private"})
    for name in plan["repositories"]:
        _repository(admin, organisation, name)
    for name, bot in plan["bots"].items():
        _bot(admin, forge, organisation, name, bot)
    _token(admin, forge, ADMIN, ["all"])
    labels = _labels(admin, organisation, plan["labels"])
    for name, repository in plan["repositories"].items():
        _issues(admin, f"/repos/{organisation}/{name}/issues", repository["issues"], labels)
        admin.ensure("POST", f"/repos/{organisation}/{name}/branch_protections", plan["protection"])


def _repository(admin: ForgeClient, organisation: str, name: str) -> None:
    body = {"name": name, "private": True, "auto_init": True, "default_branch": "main"}
    if admin.ensure("POST", f"/orgs/{organisation}/repos", body) is None:
        return
    path = f"/repos/{organisation}/{name}"
    readme = admin("GET", f"{path}/contents/README.md")
    files = [_change(_SEED / name, file) for file in sorted((_SEED / name).rglob("*")) if file.is_file()]
    for change in files:
        if change["path"] == "README.md":
            change |= {"operation": "update", "sha": readme["sha"]}
    admin("POST", f"{path}/contents", {"branch": "main", "message": "Add the first version", "files": files})


def _change(folder: Path, file: Path) -> dict[str, Any]:
    content = base64.b64encode(file.read_bytes()).decode()
    return {"operation": "create", "path": str(file.relative_to(folder)), "content": content}


def _labels(admin: ForgeClient, organisation: str, labels: list[dict[str, str]]) -> dict[str, int]:
    path = f"/orgs/{organisation}/labels"
    known = {label["name"] for label in admin("GET", path)}
    for label in labels:
        if label["name"] not in known:
            admin("POST", path, label)
    return {label["name"]: label["id"] for label in admin("GET", path)}


def _issues(admin: ForgeClient, path: str, issues: list[dict[str, Any]], labels: dict[str, int]) -> None:
    """Issues in the order of the file, so that their numbers are known."""
    known = len(admin("GET", f"{path}?state=all&type=issues&limit=50"))
    for issue in issues[known:]:
        chosen = [labels[name] for name in issue.get("labels", [])]
        admin("POST", path, {"title": issue["title"], "body": issue["body"], "labels": chosen})


def _bot(admin: ForgeClient, forge: Forge, organisation: str, name: str, bot: dict[str, Any]) -> None:
    """An account in a team of its own, with these units on all repositories. Its password is forgotten."""
    admin.ensure("POST", "/admin/users", {
        "username": name, "email": f"{name}@example.invalid", "password": secrets.token_urlsafe(24),
        "must_change_password": False, "restricted": True, "visibility": "private",
    })  # fmt: skip
    teams = {team["name"]: team["id"] for team in admin("GET", f"/orgs/{organisation}/teams")}
    if name not in teams:
        teams[name] = admin("POST", f"/orgs/{organisation}/teams", {
            "name": name, "includes_all_repositories": True, "permission": "read",
            "units": sorted(bot["units"]), "units_map": bot["units"],
        })["id"]  # fmt: skip
    admin("PUT", f"/teams/{teams[name]}/members/{name}")
    _token(admin, forge, name, bot["scopes"])


def _token(admin: ForgeClient, forge: Forge, account: str, scopes: list[str]) -> None:
    path = forge.token(account)
    if not path.exists():
        made = admin("POST", f"/users/{account}/tokens", {"name": "development", "scopes": scopes})
        write_secret(path, made["sha1"])
