"""`python -m doorward_webhooks`: the admission server."""

from __future__ import annotations

import sys

from doorward.launch import run
from doorward_webhooks.admission.process import serve
from doorward_webhooks.admission.settings import Settings

if __name__ == "__main__":
    sys.exit(run("admission", Settings, serve))
