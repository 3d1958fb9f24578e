"""The development cluster's reading of NetworkPolicy, row by row of the shared table."""

from pathlib import Path

import pytest

from devcluster.netpol import compile_ruleset
from devcluster.netpol.cases import Case, read
from devcluster.netpol.evaluate import permits
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
            connection.protocol,
            connection.port,
        )
        for connection in case.allow | case.deny
    }

    assert dict.fromkeys(case.allow, True) | dict.fromkeys(case.deny, False) == verdicts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_every_row_has_examples_that_do_not_contradict(case: Case) -> None:
    """A row without examples would promise nothing, and one that contradicts itself too much."""
    assert case.allow | case.deny
    assert frozenset() == case.allow & case.deny


def test_equal_states_compile_to_equal_texts() -> None:
    """The enforcer compares texts to know whether anything changed, so they must not depend on chance."""
    texts = {compile_ruleset(case.state) for case in CASES for _ in range(2)}

    assert len({case.state.policies for case in CASES if False} | texts) <= len(CASES)


def test_more_policies_never_take_away_what_a_peer_was_granted() -> None:
    """Policies are additive: joining all rows' policies keeps what each explicitly allowed to isolated pods."""
    lone = make_plan(CASES[6].state)
    joined = make_plan(CASES[6].state.__class__(
        pods=CASES[6].state.pods,
        namespaces=CASES[6].state.namespaces,
        policies=tuple(policy for case in CASES for policy in case.state.policies),
    ))  # fmt: skip

    assert all(allowed <= joined.ingress[ip] for ip, allowed in lone.ingress.items())
