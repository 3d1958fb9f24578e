"""`python -m openapi`: write `pod-fields.json` from the API documents inside the Kubernetes modules.

The documents come through the Go module cache, so that they are checked against the checksum database.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from openapi.table import merged

MODULES = {
    "1.33": "v1.33.13",
    "1.34": "v1.34.4",
    "1.35": "v1.35.4",
    "1.36": "v1.36.3",
    "1.37": "v1.37.0",
}
"""Minor to the version of k8s.io/kubernetes that is read. A new minor is a new line here."""
DOCUMENT = "api/openapi-spec/v3/api__v1_openapi.json"
TABLE = (
    Path(__file__).parents[2] / "webhooks" / "doorward_webhooks" / "admission" / "data" / "pod-fields.json"
)


def main() -> int:
    """Write the table, or with `--check` say whether it is up to date."""
    text = (
        json.dumps(merged({minor: schemas(version) for minor, version in MODULES.items()}), indent=1) + "\n"
    )
    if "--check" in sys.argv[1:]:
        same = TABLE.read_text() == text
        print(f"{TABLE.name} is {'up to date' if same else 'stale: run python -m openapi'}")
        return not same
    TABLE.write_text(text)
    return 0


def schemas(version: str) -> Any:
    """`components.schemas` of the core group in one version of Kubernetes."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"],
            cwd=empty,
            stdout=subprocess.PIPE,
            check=True,
        )
    document = Path(json.loads(done.stdout)["Dir"]) / DOCUMENT
    return json.loads(document.read_text())["components"]["schemas"]


if __name__ == "__main__":
    raise SystemExit(main())
