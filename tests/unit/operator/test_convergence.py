"""Whatever happens in whatever order, and wherever the process dies: the same end.

A cluster of one task is played by a few dictionaries. The operator sees copies that may lag, its
writes may be cut off between any two, and it may start anew at any moment.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorward import catalogue
from doorward.api.v1alpha1 import AgentRole, AgentTask, AgentTaskStatus, Connector
from doorward.render import RenderSettings, render_default_deny, render_role_policy, render_service_account
from doorward_operator.pods import timestamp
from doorward_operator.reconcile import Observed, Plan, reconcile

NOW = 1_800_000_000.0
SETTINGS = RenderSettings.load(
    b'{"doorImage": "door:1"}',
    ca_pem="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    broker_ip="10.96.0.10",
)


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A custom resource."""
    metadata = {"name": name, "namespace": "agents", "uid": f"uid-{name}", "generation": 1}
    stamped = {**metadata, "creationTimestamp": timestamp(NOW)}
    return {"apiVersion": "doorward.dev/v1alpha1", "kind": kind, "metadata": stamped, "spec": spec}


TASK = resource("AgentTask", "fix", {"role": "fixer", "agent": {"image": "r.example/a:1"}})
ROLE = AgentRole.parse(
    resource(
        "AgentRole",
        "fixer",
        {
            "agent": {"images": ["r.example/*"]},
            "rules": [{"name": "comment", "connector": "code", "actions": ["issue.comment"]}],
        },
    )
)
CONNECTOR = Connector.parse(
    resource(
        "Connector",
        "code",
        {
            "type": "forge",
            "provider": "gitea",
            "zone": "repository",
            "endpoint": "https://git.example",
            "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
            "audience": "connector:code",
            "catalogueHash": catalogue.load("forge").hash,
        },
    )
)
PARTS: dict[str, Any] = {
    "namespace": {"metadata": {"name": "agents", "labels": {"doorward.dev/enforced": "true"}}},
    "role": ROLE,
    "connectors": {"code": CONNECTOR},
    "deny": render_default_deny("agents"),
    "policy": render_role_policy(ROLE, {"code": CONNECTOR}, SETTINGS),
    "account": render_service_account(ROLE),
}
STAGES: list[dict[str, Any]] = [
    {"phase": "Pending"},
    {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "door", "started": True, "state": {"running": {}}}],
    },
    {
        "phase": "Running",
        "startTime": timestamp(NOW),
        "initContainerStatuses": [{"name": "door", "started": True, "state": {"running": {}}}],
        "containerStatuses": [{"name": "agent", "state": {"running": {"startedAt": timestamp(NOW)}}}],
    },
    {
        "phase": "Succeeded",
        "containerStatuses": [
            {"name": "agent", "state": {"terminated": {"exitCode": 0, "finishedAt": timestamp(NOW)}}}
        ],
    },
]


class Cluster(RuleBasedStateMachine):
    """One task, from nothing to its end."""

    @initialize(order=st.permutations(sorted(PARTS)))
    def start(self, order: list[str]) -> None:
        """Nothing is there but the task."""
        self.to_come = list(order)
        self.parts: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.pod: dict[str, Any] | None = None
        self.made = 0
        self.vanished = False
        self.heard_of_the_end = False
        self.writes_since_news = 0
        self.restart()

    @rule()
    def restart(self) -> None:
        """The process dies and starts: its caches are listed anew."""
        self.seen = dict(self.parts)
        self.seen_status = dict(self.status)
        self.seen_pod = copy.deepcopy(self.pod)

    @precondition(lambda self: self.to_come)
    @rule()
    def something_appears(self) -> None:
        """Somebody applies the next object."""
        part = self.to_come.pop()
        self.parts[part] = PARTS[part]

    @rule()
    def hear_of_objects(self) -> None:
        """The watches of roles, policies and the rest catch up."""
        self.seen = dict(self.parts)

    @rule()
    def hear_of_pods(self) -> None:
        """The watch of pods catches up."""
        self.seen_pod = copy.deepcopy(self.pod)

    @precondition(lambda self: self.pod is not None)
    @rule()
    def kubelet_works(self) -> None:
        """The pod takes its next step."""
        assert self.pod is not None
        self.pod["stage"] = min(self.pod["stage"] + 1, len(STAGES) - 1)
        self.pod["status"] = STAGES[self.pod["stage"]]

    @precondition(lambda self: self.pod is not None and "podName" in self.status)
    @rule()
    def pod_vanishes(self) -> None:
        """A node dies, or somebody deletes by force."""
        self.vanished = self.vanished or self.status.get("phase") not in {"Succeeded", "Failed"}
        seen = self.seen_pod is not None and self.seen_pod["status"] == STAGES[-1]
        self.heard_of_the_end = self.heard_of_the_end or seen
        self.pod = None

    @rule(dies_after=st.sampled_from([None, "create"]))
    def look(self, dies_after: str | None) -> None:
        """The operator looks at the task once; it may die between its two writes."""
        plan = self.plan()
        if plan.create is not None:
            self.create(plan.create)
            if dies_after == "create":
                self.restart()
                return
            plan = self.plan()
        if plan.status is not None:
            self.write(plan.status)
        if plan.delete_pod:
            self.pod = None

    def plan(self) -> Plan:
        """What the operator concludes from what it has heard."""
        task = AgentTask.parse({**TASK, "status": self.seen_status})
        name = self.seen_status.get("podName")
        live = self.pod if name and self.seen_pod is None else self.seen_pod  # the live read before a loss
        return reconcile(task, Observed(**self.seen, pod=live), NOW, SETTINGS)

    def create(self, pod: dict[str, Any]) -> None:
        """POST: a pod of that name that is there is found."""
        assert {"deny", "policy", "account", "namespace", "role"} <= self.seen.keys()
        if self.pod is None:
            self.made += 1
            self.pod = {**copy.deepcopy(pod), "status": STAGES[0], "stage": 0}
        self.seen_pod = copy.deepcopy(self.pod)

    def write(self, status: AgentTaskStatus) -> None:
        """The status goes to the server, and back into the cache with its answer."""
        self.status = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.seen_status = dict(self.status)

    @invariant()
    def one_task_one_pod(self) -> None:
        """There is never a second pod for the task."""
        assert getattr(self, "made", 0) <= 1

    @invariant()
    def the_end_is_the_end(self) -> None:
        """A task that has ended never gets another phase."""
        phase = getattr(self, "status", {}).get("phase")
        assert getattr(self, "ended", phase) == phase
        if phase in {"Succeeded", "Failed"}:
            self.ended = phase

    def teardown(self) -> None:
        """Everything appears, everybody catches up: one end, and nothing more to write."""
        if not hasattr(self, "to_come"):
            return
        while self.to_come:
            self.something_appears()
        for _ in range(len(STAGES) + 2):
            self.hear_of_objects()
            self.hear_of_pods()
            self.look(None)
            if self.pod is not None:
                self.kubelet_works()
        expected = {"Failed"} if self.vanished else {"Succeeded", getattr(self, "ended", "Succeeded")}
        if self.heard_of_the_end:  # the run had ended well before the pod went, and the watch said so
            expected |= {"Succeeded"}
        assert self.status["phase"] in expected
        assert self.made == 1
        assert not self.plan().writes


TestCluster = Cluster.TestCase
TestCluster.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
