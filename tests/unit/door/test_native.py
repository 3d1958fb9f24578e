"""Addresses of the upstream's API become the door's; everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.scrub import Scrubber
from doorward.core.strictjson import Json
from doorward.door import native
from doorward.door.native import Mount

HERE = "http://127.0.0.1:8470/via/code"
GITEA = Mount("https://gitea.forge.svc:3000/api/v1", HERE)
GITHUB = Mount("https://api.github.com", HERE)


@pytest.mark.parametrize(
    ("mount", "url", "moved"),
    [
        (GITEA, "https://gitea.forge.svc:3000/api/v1/repos/a/b", f"{HERE}/repos/a/b"),
        (GITEA, "https://gitea.forge.svc:3000/api/v1", HERE),
        (GITEA, "http://git.example/api/v1/repos/a/b?page=2", f"{HERE}/repos/a/b?page=2"),
        (GITEA, "http://git.example/a/b/issues/7", "http://git.example/a/b/issues/7"),
        (GITEA, "http://git.example/api/v10/x", "http://git.example/api/v10/x"),
        (GITEA, "http://git.example/x/api/v1/y", "http://git.example/x/api/v1/y"),
        (GITEA, "/api/v1/repos", "/api/v1/repos"),
        (GITHUB, "https://api.github.com/repos/a/b/issues{/number}", f"{HERE}/repos/a/b/issues{{/number}}"),
        (GITHUB, "https://api.github.com?page=2", f"{HERE}?page=2"),
        (GITHUB, "https://api.github.com.evil.example/x", "https://api.github.com.evil.example/x"),
        (GITHUB, "https://github.com/a/b", "https://github.com/a/b"),
    ],
)
def test_an_address_of_the_api_moves(mount: Mount, url: str, moved: str) -> None:
    """By the upstream's own address, or by the path of its API under another name; nothing else."""
    assert mount.moved(url) == moved


def test_only_members_that_hold_addresses_change() -> None:
    """Text that mentions an address is the agent's to read as it was written."""
    url = "https://api.github.com/x"
    document: Json = {"url": url, "a_url": [url], "deep": [{"b_url": url, "body": url, "urls": url}], "n": 1}

    assert native.body(document, GITHUB) == {
        "url": f"{HERE}/x",
        "a_url": [url],
        "deep": [{"b_url": f"{HERE}/x", "body": url, "urls": url}],
        "n": 1,
    }


def test_headers_are_rebuilt_from_a_list() -> None:
    """Known names in their own spelling; unknown ones, odd types and control characters are left out."""
    given_headers: dict[str, Json] = {
        "ETAG": '"1"',
        "link": '<https://api.github.com/x?page=2>; rel="next", <https://elsewhere/>; rel="x"',
        "set-cookie": "a=b",
        "retry-after": 5,
        "last-modified": "a\r\nX-Admin: 1",
        "location": "https://evil.example",
    }

    assert native.headers(given_headers, GITHUB, Scrubber()) == {
        "ETag": '"1"',
        "Link": f'<{HERE}/x?page=2>; rel="next", <https://elsewhere/>; rel="x"',
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["url", "a_url"]), inner),
        max_leaves=10,
    )
)
def test_a_document_without_addresses_stays_as_it_is(value: Json) -> None:
    """Nothing is lost, added or reordered."""
    assert native.body(value, GITEA) == value
