"""Whatever the role, the ceiling and the task are: narrowing never permits, widening never denies."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from naiveglob import naive
from policyworld import ACTIONS, SELECTOR, context, done, role

from doorward.core.decision import Permit
from doorward.core.effect import Effect
from doorward.policy import ActionRequest, Context, Facts, decide
from doorward.policy.evaluate import Question
from doorward.policy.facts import Reading

EXAMPLES = int(os.environ.get("DOORWARD_EXAMPLES", "200"))
"""Requests that are generated for each promise; `just properties` asks for many."""
REPOSITORIES = ["acme/web", "acme/api", "other/web"]
GLOBS = st.lists(st.sampled_from(["acme/*", "*/web", "acme/web", "**", "other/?eb"]), min_size=1, max_size=2)
EFFECTS = st.lists(st.sampled_from([effect.value for effect in Effect]), min_size=1, max_size=4, unique=True)


ALL = frozenset(REPOSITORIES)
NONE: frozenset[str] = frozenset()
WEB = frozenset({"acme/web"})


class Said(NamedTuple):
    """What a condition means."""

    silent: frozenset[str]
    """The repositories for which it is true although nobody but the agent has spoken."""
    spoken: frozenset[str]
    """Those for which it is true once others have: a role reviewed acme/web, and all checks are green."""
    guards: bool = False


REVIEWED = "outcomesOf('reviewer').exists(o, o.status == 'succeeded')"
CONDITIONS = {
    "true": Said(ALL, ALL),
    "resource.repository == 'acme/web'": Said(WEB, WEB),
    "args.nothing == 1": Said(NONE, NONE),
    "task.requestedBy == 'alice' && now.getHours() < 24": Said(ALL, ALL),
    "task.requestedBy == 'bob'": Said(NONE, NONE),
    "outcomes.exists(o, o.rule == 'rule-0')": Said(ALL, ALL),
    "outcomesOf('fixer').exists(o, o.status == 'succeeded')": Said(NONE, WEB),
    REVIEWED: Said(NONE, WEB, guards=True),
    f"args.owner == 'other' || {REVIEWED}": Said(frozenset({"other/web"}), WEB | {"other/web"}),
    f"args.repo != 'api' && {REVIEWED}": Said(NONE, WEB, guards=True),
    "facts.checks(resource.repository).all(c, c.green)": Said(NONE, ALL, guards=True),
    "facts.checks(args.owner).all(c, c.green)": Said(NONE, ALL),
}
APPROVAL = {"quorum": 1, "expires": "30m"}
SCHEMAS = {"{}": {}, "short": {"properties": {"owner": {"maxLength": 4}}}, "broken": {"allOf": []}}


def optional(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the parts."""
    return st.fixed_dictionaries({}, optional=parts)


RULES = st.builds(
    lambda actions, more: {"connector": "code", "actions": actions, **more},
    st.lists(st.sampled_from([*ACTIONS, "*"]), min_size=1, max_size=3, unique=True),
    optional(
        resources=GLOBS.map(lambda globs: {"repository": globs}),
        when=st.sampled_from(sorted(CONDITIONS)),
        approval=st.just(APPROVAL),
        arguments=st.sampled_from(sorted(SCHEMAS)).map(SCHEMAS.__getitem__),
    ),
)
TENANTS = st.builds(
    lambda effects, more: {"namespaces": SELECTOR, "effects": effects, **more},
    EFFECTS,
    optional(
        resources=GLOBS.map(lambda globs: {"repository": globs}),
        approval=st.just(APPROVAL),
        forbid=GLOBS.map(lambda globs: {"repositories": globs}),
    ),
)
WORLDS = st.fixed_dictionaries(
    {
        "rules": st.lists(RULES, max_size=3),
        "tenants": st.lists(TENANTS, max_size=2),
        "forbid": st.one_of(st.none(), GLOBS),
        "scope": st.one_of(st.none(), GLOBS),
        "staged": st.one_of(st.none(), st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)),
        "shared": st.booleans(),
        "spoken": st.booleans(),
    }
)
REQUESTS = st.builds(
    lambda action, repository, environment: (action, repository, environment),
    st.sampled_from(
        ["issue.read", "issue.query", "pull.merge", "release.deploy", "repository.delete", "change.propose"]
    ),
    st.sampled_from(REPOSITORIES),
    st.sampled_from(["staging", "production"]),
)


def asked(request: tuple[str, str, str]) -> ActionRequest:
    """The request as the door would send it."""
    action, repository, environment = request
    owner, repo = repository.split("/")
    args: dict[str, Any] = {"owner": owner, "repo": repo}
    if action == "issue.read":
        args["number"] = 7
    elif action != "issue.query":
        args["environment"] = environment
    return ActionRequest("code", action, args)


def built(world: dict[str, Any]) -> Context:
    """The context that a world describes."""
    rules = [{**rule, "name": f"rule-{index}"} for index, rule in enumerate(world["rules"])]
    task: dict[str, Any] = {}
    if world["scope"] is not None:
        task["scope"] = {"repositories": world["scope"]}
    if world["staged"] is not None:
        names = [f"rule-{index}" for index in world["staged"]]
        task["stages"] = [{"name": "first", "rules": names}]
    forbid = {} if world["forbid"] is None else {"forbid": {"repositories": world["forbid"]}}
    return context(
        tenants=tuple(world["tenants"]),
        role_spec={"rules": rules, **forbid},
        task_spec=task,
        connector_spec={"ci": "shared" if world["shared"] else "isolated"},
        facts=known(spoken=world["spoken"]),
    )


def known(*, spoken: bool) -> Facts:
    """What the task did, and what others have done and found where they have spoken."""
    others = (replace(done("other"), resource={"repository": "acme/web"}),) if spoken else ()
    green = Reading([{"name": "ci", "green": True, "state": "success"}])
    about = [*REPOSITORIES, "acme", "other"] if spoken else []
    return Facts(
        outcomes=(done("rule-0"),),
        others={"reviewer": others, "fixer": others},
        upstream={Question("facts.checks", name): green for name in about},
    )


def permits(world: dict[str, Any], request: tuple[str, str, str]) -> bool:
    """What the policy says."""
    return isinstance(decide(asked(request), built(world)), Permit)


def should_permit(world: dict[str, Any], request: tuple[str, str, str]) -> bool:
    """The same, said a second time and in one piece."""
    action, repository, _ = request
    kind = ACTIONS[action]
    effect = Effect.DEPLOY if kind.runs_ci and world["shared"] else kind.effect

    def fits(globs: list[str]) -> bool:
        return any(naive(glob, repository) for glob in globs)

    if world["forbid"] is not None and fits(world["forbid"]):
        return False
    if world["scope"] is not None and not fits(world["scope"]):
        return False
    if any("forbid" in tenant and fits(tenant["forbid"]["repositories"]) for tenant in world["tenants"]):
        return False
    admitting = [
        tenant
        for tenant in world["tenants"]
        if effect in tenant["effects"] and fits(tenant.get("resources", {"repository": ["**"]})["repository"])
    ]
    if not admitting or any("approval" in tenant for tenant in admitting):
        return False
    return any(
        rule_permits(rule, effect, request, spoken=world["spoken"])
        for index, rule in enumerate(world["rules"])
        if world["staged"] is None or index in world["staged"]
    )


def rule_permits(
    rule: dict[str, Any], effect: Effect, request: tuple[str, str, str], *, spoken: bool
) -> bool:
    """Whether one rule alone says yes."""
    action, repository, environment = request
    harmless = effect in {Effect.READ, Effect.DRAFT}
    named = action in rule["actions"] or ("*" in rule["actions"] and harmless)
    globs = rule.get("resources", {"repository": ["**"]})["repository"]
    said = CONDITIONS[rule.get("when", "true")]
    holds = repository in (said.spoken if spoken else said.silent)
    schema = rule.get("arguments", {})
    narrowed = "allOf" in schema or (schema and len(repository.split("/")[0]) > 4)
    if "approval" in rule or effect in {Effect.ROLLBACK, Effect.DESTROY, Effect.ADMIN}:
        return False
    if effect is Effect.DEPLOY and (environment == "production" or action == "change.propose"):
        return False
    guarded = harmless or said.guards
    return bool(
        named and holds and not narrowed and guarded and any(naive(glob, repository) for glob in globs)
    )


WIDENINGS = [
    "rule",
    "tenant",
    "effects",
    "forbid",
    "scope",
    "staged",
    "when",
    "actions",
    "spoken",
    "resources",
    "arguments",
    "approval",
]


def wider(world: dict[str, Any], draw: Any) -> dict[str, Any]:
    """The world with one bound loosened."""
    found = copy.deepcopy(world)
    change = draw(st.sampled_from(WIDENINGS))
    if change in {"forbid", "scope", "staged"}:
        found[change] = None
    elif change == "spoken":
        found["spoken"] = True
    elif change == "tenant":
        free = {key: part for key, part in draw(TENANTS).items() if key not in {"forbid", "approval"}}
        found["tenants"].append(free)
    elif change == "effects":
        for tenant in undemanding(found):
            tenant["effects"] = [effect.value for effect in Effect]
    elif change in {"rule", "when", "actions"}:
        widen_rules(found, change, draw)
    else:
        tenants = found["tenants"] if change == "approval" else undemanding(found)
        for part in (*found["rules"], *tenants):
            part.pop(change, None)
    return found


def widen_rules(found: dict[str, Any], change: str, draw: Any) -> None:
    """One rule more, each action in every rule, or no condition where it was no guard."""
    if change == "rule":
        found["rules"].append(draw(RULES))
        if found["staged"] is not None:
            found["staged"] = sorted({*found["staged"], len(found["rules"]) - 1})
    for rule in found["rules"]:
        if change == "actions":
            rule["actions"] = sorted({*rule["actions"], *ACTIONS, "*"})
        elif change == "when" and not CONDITIONS[rule.get("when", "true")].guards:
            rule.pop("when", None)


def undemanding(world: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries that demand nobody; one that demands people and reaches further demands more."""
    return [tenant for tenant in world["tenants"] if "approval" not in tenant]


@given(WORLDS, REQUESTS)
@settings(max_examples=EXAMPLES)
def test_a_second_reading_agrees(world: dict[str, Any], request_: tuple[str, str, str]) -> None:
    """The chain of checks says what the plain definition says."""
    assert should_permit(world, request_) == permits(world, request_)


@given(WORLDS, REQUESTS, st.data())
@settings(max_examples=EXAMPLES)
def test_widening_never_denies(
    world: dict[str, Any], request_: tuple[str, str, str], data: st.DataObject
) -> None:
    """Loosening one bound takes no permit away; read backwards, tightening one gives none."""
    assert permits(wider(world, data.draw), request_) or not permits(world, request_)


@given(WORLDS, WORLDS, REQUESTS)
@settings(max_examples=EXAMPLES // 2)
def test_both_readings_of_the_role_must_permit(
    first: dict[str, Any], second: dict[str, Any], request_: tuple[str, str, str]
) -> None:
    """Under a pinned and a current role exactly what both permit is permitted."""
    second = {**first, "rules": second["rules"], "forbid": second["forbid"]}
    pinned, current = built(first), built(second)
    mixed = replace(pinned, current_role=current.current_role)
    together = isinstance(decide(asked(request_), mixed), Permit)

    assert together == (permits(first, request_) and permits(second, request_))


@given(WORLDS, REQUESTS, st.sampled_from(["ended", "frozen", "revoked"]))
def test_a_stopped_task_gets_nothing(world: dict[str, Any], request_: tuple[str, str, str], how: str) -> None:
    """No role and no ceiling helps a task that has ended, is frozen or is revoked."""
    stopped = replace(built(world), **{how: True})

    assert not isinstance(decide(asked(request_), stopped), Permit)


@given(WORLDS, REQUESTS)
def test_an_empty_role_permits_nothing(world: dict[str, Any], request_: tuple[str, str, str]) -> None:
    """Deny by default."""
    empty = replace(built(world), current_role=role())

    assert not isinstance(decide(asked(request_), empty), Permit)
