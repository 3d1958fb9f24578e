"""Native answers: the upstream's own, with its addresses replaced by the door's.

Existing clients follow `url` members and `Link` headers, and some insist that these stay on the host
and below the path they were given. Anything else in an answer is left as the upstream wrote it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from doorward.core.scrub import Scrubber
from doorward.core.strictjson import Json, JsonObject

RECEIPT_HEADER: Final = "Doorward-Receipt"

KEPT_HEADERS: Final = {
    "etag": "ETag",
    "last-modified": "Last-Modified",
    "link": "Link",
    "retry-after": "Retry-After",
    "x-ratelimit-limit": "X-RateLimit-Limit",
    "x-ratelimit-remaining": "X-RateLimit-Remaining",
    "x-ratelimit-reset": "X-RateLimit-Reset",
    "x-total-count": "X-Total-Count",
}
"""What of an upstream's headers an agent gets to see; none of them carries authority."""

_LINK_TARGET: Final = re.compile(r"<([^<>]*)>")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]*\Z")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where an upstream's API appears to the agent."""

    upstream: str
    """URL of the API's root at the upstream."""
    here: str
    """URL of the same at the door."""

    def moved(self, url: str) -> str:
        """The same address at the door, if it is one of the upstream's API; else unchanged.

        An upstream may call itself by another name than we do: below a path of its own
        (`/api/v1`), the path decides; without one, the whole origin must match.
        """
        if url == self.upstream or url.startswith((self.upstream + "/", self.upstream + "?")):
            return self.here + url[len(self.upstream) :]
        prefix = urlsplit(self.upstream).path
        match = re.match(r"https?://[^/?#\s]+", url)
        if not prefix or match is None or not url.startswith(prefix + "/", match.end()):
            return url
        return self.here + url[match.end() + len(prefix) :]


def body(value: Json, mount: Mount) -> Json:
    """The document with every `url` and `*_url` member that names the upstream's API moved."""
    if isinstance(value, Mapping):
        return {name: _member(name, item, mount) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [body(item, mount) for item in value]
    return value


def _member(name: str, value: Json, mount: Mount) -> Json:
    if isinstance(value, str):
        return mount.moved(value) if name == "url" or name.endswith("_url") else value
    return body(value, mount)


def headers(given: Mapping[str, Json], mount: Mount, scrubber: Scrubber) -> dict[str, str]:
    """The headers an agent gets: those known to be harmless, `Link` moved, all scrubbed."""
    found = {}
    for name, value in given.items():
        shown = KEPT_HEADERS.get(name.lower())
        if shown is None or not isinstance(value, str) or not _VISIBLE.match(value):
            continue
        text = scrubber.text(value)
        found[shown] = _moved_links(text, mount) if shown == "Link" else text
    return found


def receipt(value: JsonObject) -> str:
    """A receipt as a header value: base64url of its JSON."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).decode()


def _moved_links(text: str, mount: Mount) -> str:
    return _LINK_TARGET.sub(lambda found: f"<{mount.moved(found[1])}>", text)
