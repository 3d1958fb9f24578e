"""The development cluster's reading of NetworkPolicy, row by row of the shared table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devcluster.netpol import compile_ruleset
from devcluster.netpol.cases import Case, read
from devcluster.netpol.evaluate import permits
from devcluster.netpol.model import pod_from, state_from
from devcluster.netpol.plan import make_plan

CASES = read(Path(__file__).with_name("netpol_cases.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_a_row_of_the_table_holds(case: Case) -> None:
    """Each example of a row is judged as the row says; the row's own sentence is the promise."""
    plan = make_plan(case.state)
    verdicts = {
        connection: permits(
            plan,
            case.state,
            case.addresses[connection.source],
            case.addresses[connection.target],
            protocol=connection.protocol,
            port=connection.port,
        )
        for connection in case.allow | case.deny
    }

    assert dict.fromkeys(case.allow, True) | dict.fromkeys(case.deny, False) == verdicts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_every_row_has_examples_that_do_not_contradict(case: Case) -> None:
    """A row without examples would promise nothing, and one that contradicts itself too much."""
    assert case.allow | case.deny
    assert frozenset() == case.allow & case.deny


def test_the_order_of_objects_does_not_change_the_rules() -> None:
    """The enforcer compares texts to know whether anything changed, so they must not depend on chance."""
    pods = [_api_pod(f"p{n}", f"10.244.0.{n}", {"app": "web" if n % 2 else "db"}) for n in range(2, 9)]
    policies = [_api_policy(f"n{n}", {"podSelector": {"matchLabels": {"app": "web"}}}) for n in range(3)]
    forth = state_from(pods, [_NAMESPACE], policies)
    back = state_from(reversed(pods), [_NAMESPACE], reversed(policies))

    assert compile_ruleset(forth) == compile_ruleset(back)


def test_joining_all_policies_keeps_every_allowance() -> None:
    """Policies are additive: none takes away what another granted to a pod."""
    lone = [make_plan(case.state) for case in CASES]
    every = tuple(policy for case in CASES for policy in case.state.policies)
    joined = make_plan(replace(CASES[0].state, policies=every))

    assert all(allowed <= joined.ingress[ip] for plan in lone for ip, allowed in plan.ingress.items())
    assert all(allowed <= joined.egress[ip] for plan in lone for ip, allowed in plan.egress.items())


def test_an_unknown_pod_address_is_cut_off_unless_told_otherwise() -> None:
    """Before a pod's address is known nobody can say which policies hold for it."""
    state = CASES[0].state
    stranger, known = "10.244.200.200", state.pods[0].ip

    def verdicts(*, closed: bool) -> list[bool]:
        given = replace(state, closed=closed)
        pairs = ((stranger, known), (known, stranger))
        return [permits(make_plan(given), given, *pair, protocol="TCP", port=80) for pair in pairs]

    assert verdicts(closed=True) == [False, False]
    assert verdicts(closed=False) == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        {"status": {}},
        {"status": {"podIP": "10.244.0.2", "phase": "Succeeded"}},
        {"status": {"podIP": "10.244.0.2", "phase": "Failed"}},
        {"spec": {"hostNetwork": True, "containers": []}},
    ],
    ids=["no address yet", "succeeded", "failed", "uses the node's network"],
)
def test_pods_without_an_address_of_their_own_are_left_out(change: dict[str, Any]) -> None:
    """An address that was given back may belong to another pod by now."""
    assert pod_from(_api_pod("p", "10.244.0.2", {}) | change) is None


def test_named_ports_of_sidecars_count_and_those_of_plain_init_containers_do_not() -> None:
    """A native sidecar listens as long as the pod lives."""
    pod = _api_pod("p", "10.244.0.2", {})
    pod["spec"]["initContainers"] = [
        {"restartPolicy": "Always", "ports": [{"name": "door", "containerPort": 8470}]},
        {"ports": [{"name": "setup", "containerPort": 1}]},
    ]
    trimmed = pod_from(pod)

    assert trimmed is not None
    assert trimmed.ports == (("door", "TCP", 8470),)


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}},
        {"podSelector": {}, "ingress": [{"ports": [{"protocol": "ICMP", "port": 1}]}]},
        {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "everywhere"}}]}]},
    ],
    ids=["operator", "protocol", "block"],
)
def test_what_kubernetes_would_refuse_is_refused(spec: dict[str, Any]) -> None:
    """A policy that cannot be understood must never compile to something that lets traffic pass."""
    state = state_from([_api_pod("p", "10.244.0.2", {})], [_NAMESPACE], [_api_policy("odd", spec)])

    with pytest.raises(ValueError, match=r"operator|protocol|everywhere"):
        compile_ruleset(state)


_NAMESPACE = {"metadata": {"name": "space"}}


def _api_pod(name: str, ip: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "space", "name": name, "labels": labels},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"podIP": ip, "phase": "Running"},
    }


def _api_policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"namespace": "space", "name": name}, "spec": spec}
