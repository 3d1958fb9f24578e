"""`python -m doorward_webhooks.certificates`: the process that keeps the certificates."""

from __future__ import annotations

import sys

from doorward.launch import run
from doorward_webhooks.certificates.process import serve
from doorward_webhooks.certificates.settings import Settings

if __name__ == "__main__":
    sys.exit(run("certificates", Settings, serve))
