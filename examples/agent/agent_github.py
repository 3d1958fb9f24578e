"""The same work by an unchanged GitHub client: only its base URL is another.

PyGithub reads GITHUB_API_URL, which the operator sets to the door, and sends a placeholder as its token,
which the door drops. The repository is opened lazily: looking at it is no action that the role gives.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from typing import Any

from github import Auth, Github, GithubException


def task() -> Any:
    """What this agent is for."""
    url = os.environ["DOORWARD_URL"] + "/v1/task"
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - the door's own address
        return json.load(response)


def main() -> int:
    """Read the issue, comment on it, and show that a second comment is refused."""
    wanted = task()["input"]
    client = Github(
        base_url=os.environ["GITHUB_API_URL"],
        auth=Auth.Token(os.environ.get("GITHUB_TOKEN", "doorward-placeholder")),
        retry=None,
        lazy=True,
    )
    issue = client.get_repo(wanted["repository"]).get_issue(wanted["issue"])
    print(f"ok  read issue {issue.number}: {issue.title}")
    comment = issue.create_comment("An unchanged GitHub client wrote this through its door.")
    print(f"ok  wrote comment {comment.id}")
    try:
        issue.create_comment("And a second one.")
    except GithubException as refused:
        code = refused.data.get("code") if isinstance(refused.data, dict) else None
        print(f"{'ok ' if code == 'limit_exceeded' else 'BAD'} second comment -> {refused.status} no: {code}")
        return 0 if code == "limit_exceeded" else 1
    print("BAD second comment -> yes")
    return 1


if __name__ == "__main__":
    sys.exit(main())
