"""What the charts promise to whoever installs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.commands import run
from doorward.connectors.process import DRAIN_SECONDS, LAST_WORDS_SECONDS
from doorward.core import settings as env
from doorward.render import RenderSettings

Manifest = dict[str, Any]
Manifests = Mapping[str, list[Manifest]]
CHARTS = ("doorward", "doorward-connector")
WORKLOADS = {"Deployment", "StatefulSet"}


def _pods(found: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for each in found:
        if each["kind"] in WORKLOADS:
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def _rules(found: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for each in found:
        for rule in each.get("rules") or [] if each["kind"] in {"Role", "ClusterRole"} else []:
            yield f"{each['kind']}/{each['metadata']['name']}", rule


def _named(found: list[Manifest], kind: str, name: str) -> Manifest:
    (only,) = [each for each in found if each["kind"] == kind and each["metadata"]["name"] == name]
    return only


@pytest.mark.parametrize("chart", CHARTS)
def test_two_renderings_are_the_same(chart: str, render: Callable[..., str]) -> None:
    """Nothing is drawn by lot in a template, so GitOps tools see no change where there is none."""
    assert render(chart) == render(chart)


@pytest.mark.parametrize("chart", CHARTS)
def test_no_rule_has_a_wildcard(chart: str, manifests: Manifests) -> None:
    """Every verb, resource and group is spelt out."""
    found = [
        (name, rule)
        for name, rule in _rules(manifests[chart])
        if "*" in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
    ]

    assert found == []


@pytest.mark.parametrize("chart", CHARTS)
def test_secrets_are_opened_one_by_one_to_the_certificates_process(chart: str, manifests: Manifests) -> None:
    """Get and update on named Secrets and nothing else, and nobody else has any rule for them."""
    rules = [(name, rule) for name, rule in _rules(manifests[chart]) if "secrets" in rule["resources"]]
    wanted = (
        "Role/doorward-certificates" if chart == "doorward" else "Role/doorward-connector-code-certificate"
    )

    assert [name for name, _ in rules] == [wanted]
    assert [rule["verbs"] for _, rule in rules] == [["get", "update"]]
    assert all(name.endswith(("-tls", "-ca-key")) for _, rule in rules for name in rule["resourceNames"])


@pytest.mark.parametrize("chart", CHARTS)
def test_accounts_are_bound_to_roles_that_exist(chart: str, manifests: Manifests) -> None:
    """A binding to a name with a slip in it would be an account without rights, found at run time."""
    found = manifests[chart]
    roles = {(each["kind"], each["metadata"]["name"]) for each in found}
    refs = [(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in found if "roleRef" in each]

    assert [ref for ref in refs if ref not in roles] == []


def test_the_roles_for_enrolled_namespaces_are_never_bound_for_the_cluster(manifests: Manifests) -> None:
    """The operator makes pods and the broker reads them where a RoleBinding says so, and nowhere else."""
    bound = [
        each["roleRef"]["name"] for each in manifests["doorward"] if each["kind"] == "ClusterRoleBinding"
    ]
    cluster = {name for name, rule in _rules(manifests["doorward"]) if "pods" in rule["resources"]}

    assert cluster == {
        f"ClusterRole/doorward-{part}-enrolled" for part in ("operator", "broker", "admission")
    }
    assert [name for name in bound if name.endswith("-enrolled")] == []


def test_leases_are_written_in_the_one_way_that_their_holder_writes(manifests: Manifests) -> None:
    """The election replaces with a resourceVersion, the heartbeat applies; neither may do the other."""
    verbs = {
        (name, tuple(rule.get("resourceNames", ()))): rule["verbs"]
        for name, rule in _rules(manifests["doorward"])
        if "leases" in rule["resources"]
    }

    assert verbs == {
        ("Role/doorward-operator", ("doorward-operator",)): ["get", "update"],
        ("Role/doorward-broker", ("doorward-broker-heartbeat",)): ["get", "patch"],
    }


def test_platforms_that_ration_system_classes_take_our_pods(
    manifests: Manifests, render: Callable[..., str]
) -> None:
    """A quota names the class where one of the system's is used, and is not there otherwise."""
    (quota,) = [each["spec"] for each in manifests["doorward"] if each["kind"] == "ResourceQuota"]

    assert quota["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}
    ]
    assert "kind: ResourceQuota" not in render("doorward", "--set", "priorityClassName=")


@pytest.mark.parametrize("chart", CHARTS)
def test_every_pod_is_restricted(chart: str, manifests: Manifests) -> None:
    """Pod Security `restricted`, and beyond it: read-only root, no token unless it is needed."""
    for name, pod in _pods(manifests[chart]):
        security = pod["securityContext"]
        assert (name, security["runAsNonRoot"], security["seccompProfile"]["type"]) == (
            name, True, "RuntimeDefault",
        )  # fmt: skip
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
            }
            assert set(container["resources"]) == {"requests", "limits"}
            assert "readinessProbe" in container


def test_without_certificates_no_secret_is_open_to_anybody(render: Callable[..., str]) -> None:
    """Where cert-manager issues, the process only writes down what pods are rendered with."""
    text = render("doorward", "--set", "certificates.enabled=false")
    found = [each for each in yaml.safe_load_all(text) if each]
    pods = dict(_pods(found))
    environ = {each["name"]: each["value"] for each in pods["doorward-certificates"]["containers"][0]["env"]}
    rules = {name: rule for name, rule in _rules(found) if name == "Role/doorward-certificates"}
    writes = [
        names
        for _, rule in _rules(found)
        for names in rule.get("resourceNames", [])
        if "update" in rule["verbs"]
    ]

    assert environ["DOORWARD_ISSUE"] == "false"
    assert [rule for _, rule in _rules(found) if "secrets" in rule["resources"]] == []
    assert rules.keys() == {"Role/doorward-certificates"}
    assert "doorward-ca" not in writes
    assert "doorward-renderings" in writes


def test_keys_are_readable_by_the_process_alone(manifests: Manifests) -> None:
    """Secrets are mounted for the group of the process: closed to others, and not closed to itself."""
    for chart in CHARTS:
        for _, pod in _pods(manifests[chart]):
            modes = [
                volume["secret"]["defaultMode"] for volume in pod.get("volumes", []) if "secret" in volume
            ]
            assert set(modes) <= {0o440}
            assert not modes or pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_parts_that_talk_to_the_cluster_are_four(manifests: Manifests) -> None:
    """Connector and canary have no token for the API server."""
    mounted = {
        name: pod["automountServiceAccountToken"] for chart in CHARTS for name, pod in _pods(manifests[chart])
    }

    assert mounted == {
        "doorward-admission": True,
        "doorward-broker": True,
        "doorward-canary": False,
        "doorward-certificates": True,
        "doorward-connector-code": False,
        "doorward-operator": True,
    }


def _settings(name: str) -> type:
    from doorward.broker import settings as broker  # noqa: PLC0415 - one import for each part
    from doorward.connectors import settings as connector  # noqa: PLC0415
    from doorward_operator import settings as operator  # noqa: PLC0415
    from doorward_webhooks.admission import settings as admission  # noqa: PLC0415
    from doorward_webhooks.certificates import settings as certificates  # noqa: PLC0415

    found: dict[str, type] = {
        "doorward-admission": admission.Settings,
        "doorward-broker": broker.Settings,
        "doorward-certificates": certificates.Settings,
        "doorward-connector-code": connector.Settings,
        "doorward-operator": operator.Settings,
    }
    return found[name]


@pytest.mark.parametrize(
    "name",
    [
        "doorward-admission",
        "doorward-broker",
        "doorward-certificates",
        "doorward-connector-code",
        "doorward-operator",
    ],
)
def test_every_variable_is_a_setting_and_every_setting_has_a_value(name: str, manifests: Manifests) -> None:
    """A process starts with the environment that its chart gives it, and no variable is there for nothing."""
    pods = {found: pod for chart in CHARTS for found, pod in _pods(manifests[chart])}
    (container,) = pods[name]["containers"]
    environ = {each["name"]: each.get("value", "from-the-pod") for each in container["env"]}
    cls = _settings(name)
    unknown = set(environ) - {spec.variable for spec, _ in env.specs(cls)}

    assert unknown == set()
    assert isinstance(env.read(cls, environ), cls)


def test_files_that_settings_name_are_mounted(manifests: Manifests) -> None:
    """A path in a default or in a variable lies in a volume of the pod."""
    for chart in CHARTS:
        for name, pod in _pods(manifests[chart]):
            if name in {"doorward-canary", "doorward-certificates"}:
                continue
            (container,) = pod["containers"]
            mounts = tuple(Path(mount["mountPath"]) for mount in container["volumeMounts"])
            environ = {each["name"]: each.get("value", "from-the-pod") for each in container["env"]}
            read = vars(env.read(_settings(name), environ)).values()
            paths = [Path(each) for each in read if str(each).startswith("/")]
            assert [path for path in paths if not any(path.is_relative_to(mount) for mount in mounts)] == []


def test_pods_are_rendered_from_what_the_chart_writes(manifests: Manifests) -> None:
    """`render.json` is read by the very class that operator, admission and broker read it with."""
    document = _named(manifests["doorward"], "ConfigMap", "doorward-render")["data"]["render.json"]
    pem = "-----BEGIN CERTIFICATE-----\n"
    settings = RenderSettings.load(document.encode(), ca_pem=pem, broker_ip="10.0.0.1")

    assert settings.door_image == "doorward/door:0.1.0"
    assert settings.broker_host == "doorward-broker.doorward-system.svc"
    assert settings.release_namespace == "doorward-system"


def test_a_value_of_render_cannot_replace_what_the_chart_knows(render: Callable[..., str]) -> None:
    """Task pods talk to this release's broker, whatever the values say."""
    text = render("doorward", "--set", "render.brokerHost=evil.example", "--set", "render.workspaceSize=2Gi")
    found = [each for each in yaml.safe_load_all(text) if each]
    document = yaml.safe_load(_named(found, "ConfigMap", "doorward-render")["data"]["render.json"])

    assert document["brokerHost"] == "doorward-broker.doorward-system.svc"
    assert document["workspaceSize"] == "2Gi"


@pytest.mark.parametrize("chart", CHARTS)
def test_objects_that_others_fill_are_rendered_empty(chart: str, manifests: Manifests) -> None:
    """Helm never writes a key or a bundle, so an upgrade cannot take one away."""
    kinds = [each for each in manifests[chart] if each["kind"] == "Secret"]
    kinds += [
        each
        for each in manifests[chart]
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "doorward-ca"
    ]

    assert kinds
    assert [each["metadata"]["name"] for each in kinds if "data" in each or "stringData" in each] == []


def test_the_webhook_fails_closed_where_it_must_and_nowhere_else(manifests: Manifests) -> None:
    """An outage stops tasks and our own kinds, and nothing else; three seconds is the longest wait."""
    hooks = [
        hook
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
        for hook in _named(manifests["doorward"], kind, "doorward")["webhooks"]
    ]
    groups = {
        hook["name"]: {group for rule in hook["rules"] for group in rule["apiGroups"]} for hook in hooks
    }
    selectors = {hook["name"]: hook.get("namespaceSelector") for hook in hooks}
    everywhere = {name for name, selector in selectors.items() if selector is None}

    assert {hook["failurePolicy"] for hook in hooks} == {"Fail"}
    assert {hook["timeoutSeconds"] for hook in hooks} == {3}
    assert {hook["sideEffects"] for hook in hooks} == {"None"}
    assert [groups[name] for name in everywhere] == [{"doorward.dev"}] * len(everywhere)
    assert all(
        selector == {"matchLabels": {"doorward.dev/enforced": "true"}}
        for name, selector in selectors.items()
        if name not in everywhere
    )
    assert [hook["name"] for hook in hooks if "caBundle" in hook["clientConfig"]] == []


def test_each_policy_has_one_binding(manifests: Manifests) -> None:
    """The cost of policies grows with their bindings, and a policy without one does nothing."""
    found = manifests["doorward"]
    policies = sorted(
        each["metadata"]["name"] for each in found if each["kind"] == "ValidatingAdmissionPolicy"
    )
    bindings = [each["spec"] for each in found if each["kind"] == "ValidatingAdmissionPolicyBinding"]

    assert sorted(each["policyName"] for each in bindings) == policies
    assert {tuple(each["validationActions"]) for each in bindings} == {("Deny",)}


def test_custom_resources_survive_the_release_unless_told_otherwise(render: Callable[..., str]) -> None:
    """Removing the release does not remove every task and role with it."""

    def policies(*flags: str) -> set[str | None]:
        found = [each for each in yaml.safe_load_all(render("doorward", *flags)) if each]
        definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
        return {
            (each["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") for each in definitions
        }

    assert policies() == {"keep"}
    assert policies("--set", "crds.keep=false") == {None}
    assert policies("--set", "crds.enabled=false") == set()


@pytest.mark.parametrize(
    ("chart", "flags", "says"),
    [
        ("doorward", ["--set", "oprator.replicas=3"], "oprator"),
        ("doorward", ["--set", "operator.image.digest=sha256:1"], "digest"),
        ("doorward", ["--set", "enrolled[0].name=doorward-system"], "own namespace"),
        ("doorward", ["--set", "networkPolicies.apiServerCidrs={10.96.0.1}"], "apiServerCidrs"),
        ("doorward-connector", ["--set", "name="], "name"),
        ("doorward-connector", ["--set", "upstream.cidrs={git.example}"], "cidrs"),
        ("doorward-connector", ["--set", "upstream.url=git.example"], "url"),
        ("doorward-connector", ["--set", "credential.existingSecret="], "existingSecret"),
        ("doorward-connector", ["--set", "doorward.namespace=doorward-code"], "namespace of its own"),
    ],
)
def test_values_that_cannot_work_are_refused(
    chart: str, flags: list[str], says: str, render: Callable[..., str]
) -> None:
    """A slip is told at once and by name."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(chart, *flags)

    assert says in refused.value.stderr


@pytest.mark.parametrize("chart", CHARTS)
def test_a_digest_wins_over_a_tag(chart: str, render: Callable[..., str]) -> None:
    """What runs in production is pinned by content."""
    digest = f"sha256:{'0' * 64}"
    image = "broker.image" if chart == "doorward" else "image"
    text = render(chart, "--set", f"{image}.digest={digest}", "--set", f"{image}.tag=latest")
    found = [each for each in yaml.safe_load_all(text) if each]
    images = {name: pod["containers"][0]["image"] for name, pod in _pods(found)}

    assert images.get("doorward-broker", images.get("doorward-connector-code", "")).endswith(f"@{digest}")


def test_a_connector_is_not_killed_while_it_finishes(manifests: Manifests) -> None:
    """The pod's grace is longer than all that the process waits for after SIGTERM."""
    pods = dict(_pods(manifests["doorward-connector"]))
    grace = pods["doorward-connector-code"]["terminationGracePeriodSeconds"]

    assert grace > DRAIN_SECONDS + LAST_WORDS_SECONDS


@pytest.mark.parametrize("chart", CHARTS)
def test_every_part_has_a_network_policy(chart: str, manifests: Manifests) -> None:
    """Both ways, for every pod of ours."""
    found = manifests[chart]
    policies = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "NetworkPolicy"}

    assert set(policies) == {name for name, _ in _pods(found)}
    assert {tuple(spec["policyTypes"]) for spec in policies.values()} == {("Ingress", "Egress")}


def _ways_to_the_api_server(found: list[Manifest]) -> dict[str, Any]:
    return {
        each["metadata"]["name"]: rule.get("to")
        for each in found
        if each["kind"] == "NetworkPolicy"
        for rule in each["spec"]["egress"]
        if {"port": 6443, "protocol": "TCP"} in rule["ports"]
    }


def test_the_way_to_the_api_server_is_as_narrow_as_its_addresses_are_known(
    manifests: Manifests, render: Callable[..., str]
) -> None:
    """Any address as long as none is named; then these and no others, for every part that goes there."""
    parts = [f"doorward-{part}" for part in ("operator", "admission", "broker", "certificates")]
    cidrs = "networkPolicies.apiServerCidrs={10.96.0.1/32,fd00::1/128}"
    named = [{"ipBlock": {"cidr": "10.96.0.1/32"}}, {"ipBlock": {"cidr": "fd00::1/128"}}]
    narrow = [each for each in yaml.safe_load_all(render("doorward", "--set", cidrs)) if each]

    assert _ways_to_the_api_server(manifests["doorward"]) == dict.fromkeys(parts)
    assert _ways_to_the_api_server(narrow) == dict.fromkeys(parts, named)


def test_the_notes_warn_of_a_connector_that_may_connect_anywhere(connector_notes: Callable[..., str]) -> None:
    """Who leaves out the upstream's addresses is told what that opens, and how to close it."""
    assert "any address on port 443, port 8443.\n" in connector_notes("--set", "upstream.ports={443,8443}")
    assert "WARNING" not in connector_notes("--set", "upstream.cidrs={203.0.113.7/32}")


def _peer(namespace: str, component: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "doorward", "app.kubernetes.io/component": component}
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": labels},
    }


def test_the_broker_reaches_connectors(manifests: Manifests) -> None:
    """It reads facts for conditions through them, and nothing else of ours goes there."""
    ways = {
        each["metadata"]["name"]: peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in manifests["doorward"]
        if each["kind"] == "NetworkPolicy"
        for rule in each["spec"]["egress"]
        if {"port": 8443, "protocol": "TCP"} in rule["ports"]
        for peer in rule["to"]
    }

    assert ways == {"doorward-broker": "connector"}


def test_task_pods_reach_connectors_of_enrolled_namespaces_only(manifests: Manifests) -> None:
    """A peer is always a namespace and a pod; an empty selector would be everybody."""
    (policy,) = [each for each in manifests["doorward-connector"] if each["kind"] == "NetworkPolicy"]
    (doors,) = [rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == 8443]

    assert doors["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"doorward.dev/enforced": "true"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "task"}},
        },
        _peer("doorward-system", "broker"),
    ]


@pytest.mark.parametrize("chart", CHARTS)
def test_helm_finds_nothing_to_complain_of(chart: str, helm: Path) -> None:
    """The chart passes helm's linter with the values it is tested with."""
    values = ["--set", "name=code,upstream.url=https://git.example,credential.existingSecret=x"]
    flags = values if chart == "doorward-connector" else []
    root = Path(__file__).parents[2]

    assert "0 chart(s) failed" in run(helm, "lint", root / "charts" / chart, *flags)


DATABASE = ("--set", "broker.replicas=2,broker.ledger.secret=db,broker.ledger.cidrs={10.0.3.0/24}")


def test_several_brokers_need_a_database(render: Callable[..., str]) -> None:
    """A file has one writer: the values are refused, not the second pod at its start."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        render("doorward", "--set", "broker.replicas=2")

    assert "/broker/ledger/secret" in caught.value.stderr


def test_the_address_of_the_database_is_a_file_of_the_broker_alone(render: Callable[..., str]) -> None:
    """No other part mounts the Secret, and no environment holds more than a path."""
    found = [each for each in yaml.safe_load_all(render("doorward", *DATABASE)) if each]
    holders = [
        name
        for name, pod in _pods(found)
        if any(volume.get("secret", {}).get("secretName") == "db" for volume in pod.get("volumes", ()))
    ]
    broker = dict(_pods(found))["doorward-broker"]["containers"][0]
    env = {each["name"]: each.get("value") for each in broker["env"]}

    assert holders == ["doorward-broker"]
    assert env["DOORWARD_LEDGER_FILE"] == "/etc/doorward/ledger/url"
    assert "DOORWARD_LEDGER_URL" not in env


def test_only_the_broker_reaches_the_database(render: Callable[..., str]) -> None:
    """By port and address; without a database nobody does. One broker at a time may be evicted."""
    found = [each for each in yaml.safe_load_all(render("doorward", *DATABASE)) if each]
    plain = [each for each in yaml.safe_load_all(render("doorward")) if each]
    ways = {
        each["metadata"]["name"]: rule["to"]
        for each in found
        if each["kind"] == "NetworkPolicy"
        for rule in each["spec"].get("egress") or []
        if {"port": 5432, "protocol": "TCP"} in rule["ports"]
    }
    budget = _named(found, "PodDisruptionBudget", "doorward-broker")

    assert ways == {"doorward-broker": [{"ipBlock": {"cidr": "10.0.3.0/24"}}]}
    assert "5432" not in str([each["spec"] for each in plain if each["kind"] == "NetworkPolicy"])
    assert budget["spec"]["maxUnavailable"] == 1
