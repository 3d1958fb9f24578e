"""`python -m doorward_webhooks`: the admission server."""

from __future__ import annotations

import sys

from doorward_webhooks.admission.process import serve
from doorward_webhooks.admission.settings import Settings
from doorward_webhooks.run import run

if __name__ == "__main__":
    sys.exit(run("admission", Settings, serve))
