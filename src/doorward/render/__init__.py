"""From a task to the objects that run it: pure functions, shared by operator, admission and broker.

    pod = render_pod(task, role, {"code": connector}, settings)
    refused = mismatch(live, Source(task, role, {"code": connector}), [settings])   # empty: it is that pod

Nothing here does I/O, and nothing depends on time or on the order of calls.
"""

from doorward.render.equality import ABSENT, Difference, differences, identical
from doorward.render.history import History
from doorward.render.names import is_enrolled, pod_name, role_object
from doorward.render.ownership import made_for, orphaned
from doorward.render.pod import connectors_of, render_pod
from doorward.render.policies import render_default_deny, render_role_policy, render_service_account
from doorward.render.settings import RenderSettings
from doorward.render.versions import Source, mismatch

__all__ = [
    "ABSENT",
    "Difference",
    "History",
    "RenderSettings",
    "Source",
    "connectors_of",
    "differences",
    "identical",
    "is_enrolled",
    "made_for",
    "mismatch",
    "orphaned",
    "pod_name",
    "render_default_deny",
    "render_pod",
    "render_role_policy",
    "render_service_account",
    "role_object",
]
