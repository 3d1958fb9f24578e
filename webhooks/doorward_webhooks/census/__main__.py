"""`python -m doorward_webhooks.census`: print the report as JSON.

Exit code 0 when no pod of an enrolled namespace holds or reaches a secret, 1 when one does or when a
namespace could not be seen, 3 when the API server cannot be asked. Reads the pod's own account or
the variable KUBECONFIG, and writes nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

from doorward.errors import ConfigError
from doorward.kube import ApiError, connect
from doorward_webhooks.census.survey import Survey, report, survey

CLEAN: Final = 0
FOUND: Final = 1
UNANSWERED: Final = 3


async def _look() -> Survey:
    async with connect() as client:
        return await survey(client, time.time())


def main() -> int:
    """Look, print, and say by the exit code whether all is well."""
    try:
        result = asyncio.run(_look())
    except (ApiError, ConfigError) as error:
        sys.stderr.write(f"no census: {error}\n")
        return UNANSWERED
    sys.stdout.write(json.dumps(report(result), indent=2) + "\n")
    return CLEAN if result.clean else FOUND


if __name__ == "__main__":
    sys.exit(main())
