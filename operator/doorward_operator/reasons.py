"""Every reason that the operator writes into a condition or an Event, each with its sentence.

Reasons of refusals come from `doorward.errors.Code`; these are the rest. The list is closed, and
`SENTENCES` is its documentation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a condition of a task has the status it has."""

    ACCEPTED = "Accepted"
    NAMESPACE_NOT_ENROLLED = "NamespaceNotEnrolled"
    FOREIGN_PODS = "ForeignPods"
    ROLE_NOT_FOUND = "RoleNotFound"
    ROLE_INVALID = "RoleInvalid"
    CONNECTOR_NOT_FOUND = "ConnectorNotFound"
    CONNECTOR_INVALID = "ConnectorInvalid"
    POLICY_IN_PLACE = "PolicyInPlace"
    POLICY_MISSING = "PolicyMissing"
    POLICY_WIDENED = "PolicyWidened"
    IDENTITY_IN_PLACE = "IdentityInPlace"
    IDENTITY_MISSING = "IdentityMissing"
    NOT_OBSERVED = "NotObserved"
    FENCE_PROVEN = "FenceProven"
    FENCE_PENDING = "FencePending"
    DOOR_FAILING = "DoorFailing"
    WAITING_FOR_OTHERS = "WaitingForOthers"
    POD_REFUSED = "PodRefused"
    POD_PENDING = "PodPending"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_NOT_STARTED = "ContainerNotStarted"
    AGENT_RUNNING = "AgentRunning"
    AGENT_ENDED = "AgentEnded"
    NOT_FINISHED = "NotFinished"
    AGENT_SUCCEEDED = "AgentSucceeded"
    AGENT_FAILED = "AgentFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    EVICTED = "Evicted"
    POD_FAILED = "PodFailed"
    POD_DELETED = "PodDeleted"
    POD_LOST = "PodLost"
    PARENT_ENDED = "ParentEnded"


SENTENCES: Final[dict[Reason, str]] = {
    Reason.ACCEPTED: "Role, connectors and the shape of the agent fit together.",
    Reason.NAMESPACE_NOT_ENROLLED: "The namespace is not one where tasks run.",
    Reason.FOREIGN_PODS: "The namespace holds pods that Doorward did not make; no task starts beside them.",
    Reason.ROLE_NOT_FOUND: "The role that the task names does not exist in its namespace.",
    Reason.ROLE_INVALID: "The role cannot be held as it is written.",
    Reason.CONNECTOR_NOT_FOUND: "The role names a Connector that does not exist.",
    Reason.CONNECTOR_INVALID: "A Connector of the role cannot be used as it is written.",
    Reason.POLICY_IN_PLACE: "The NetworkPolicies of namespace and role are there and unchanged.",
    Reason.POLICY_MISSING: "A NetworkPolicy is missing or changed; it is being applied.",
    Reason.POLICY_WIDENED: "A NetworkPolicy that is not Doorward's selects the pod, and policies add up.",
    Reason.IDENTITY_IN_PLACE: "The role's service account is there and unchanged.",
    Reason.IDENTITY_MISSING: "The role's service account is missing or changed; it is being applied.",
    Reason.NOT_OBSERVED: "The operator cannot read the namespace: its RoleBinding is missing.",
    Reason.FENCE_PROVEN: "The door has opened its session and found every forbidden address closed.",
    Reason.FENCE_PENDING: "The door has not yet opened its session and proved the fence.",
    Reason.DOOR_FAILING: "The door ended or cannot start; the agent does not start without it.",
    Reason.WAITING_FOR_OTHERS: "The role, or the person who asked, has as many tasks as may be at a time.",
    Reason.POD_REFUSED: "The API server refused the pod: a quota, a policy or a webhook.",
    Reason.POD_PENDING: "The pod is on its way to a node.",
    Reason.UNSCHEDULABLE: "No node fits the pod.",
    Reason.IMAGE_PULL_FAILED: "An image of the pod cannot be pulled.",
    Reason.CONTAINER_NOT_STARTED: "A container of the pod cannot be started.",
    Reason.AGENT_RUNNING: "The agent runs.",
    Reason.AGENT_ENDED: "The agent does not run any more.",
    Reason.NOT_FINISHED: "The task has not ended.",
    Reason.AGENT_SUCCEEDED: "The agent ended with exit code 0.",
    Reason.AGENT_FAILED: "The agent ended with another exit code.",
    Reason.OUT_OF_MEMORY: "The agent used more memory than its limit.",
    Reason.DEADLINE_EXCEEDED: "The agent ran longer than its deadline.",
    Reason.EVICTED: "The node or the scheduler ended the pod.",
    Reason.POD_FAILED: "The pod ended before the agent did.",
    Reason.POD_DELETED: "Somebody deleted the pod; a task has one run.",
    Reason.POD_LOST: "The pod vanished; a task has one run.",
    Reason.PARENT_ENDED: "The task that started this one has ended, and no child outlives its parent.",
}


class EventReason(StrEnum):
    """Reasons of the Events that the operator writes about a task, one for each change of state."""

    NOT_ACCEPTED = "NotAccepted"
    """A task waits for something that people must do; the note says what."""
    POD_REFUSED = "PodRefused"
    """The API server refused the pod; the note has its words."""
    NOT_STARTING = "NotStarting"
    """The pod cannot start: no node, no image, or a failing door."""
    POLICY_WIDENED = "PolicyWidened"
    """A NetworkPolicy that is not Doorward's selects the task's pod, before its start or while it runs."""
    STARTED = "Started"
    """The agent has begun to run, behind a proven fence."""
    FINISHED = "Finished"
    """The task has ended well."""
    FAILED = "Failed"
    """The task has ended otherwise; the note says how."""
