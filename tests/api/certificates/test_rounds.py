"""The certificates process against a real API server, with the rights that the charts give it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from doorward.kube import ApiError, Client, resources
from doorward_webhooks.certificates import objects
from doorward_webhooks.certificates.plan import Lifetimes, SetBundle, Target
from doorward_webhooks.certificates.process import Rotation

SYSTEM = "doorward-system"
BROKER, ADMISSION = Target(SYSTEM, "doorward-broker"), Target(SYSTEM, "doorward-admission")
CODE = ("doorward-code", "doorward-connector-code")
LIVES = Lifetimes()

Make = Callable[..., Rotation]
CONFIGURATIONS = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")


def _secret(kubectl: Kubectl, target: Target) -> dict[str, str]:
    found = kubectl.get("secret", target.secret, "-n", target.namespace).get("data", {})
    return {name: base64.b64decode(text).decode() for name, text in found.items()}


def _bundle(kubectl: Kubectl) -> str:
    return str(kubectl.get("configmap", "doorward-ca", "-n", SYSTEM)["data"]["ca.crt"])


def _versions(kubectl: Kubectl) -> dict[str, str]:
    found = [
        *kubectl.get("secret", "-n", SYSTEM, "-l", "app.kubernetes.io/name=doorward")["items"],
        kubectl.get("configmap", "doorward-ca", "-n", SYSTEM),
        *(kubectl.get(kind, "doorward") for kind in CONFIGURATIONS),
    ]
    return {
        each["kind"] + "/" + each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found
    }


def _hooks(kubectl: Kubectl) -> list[dict[str, Any]]:
    return [hook for kind in CONFIGURATIONS for hook in kubectl.get(kind, "doorward")["webhooks"]]


def _handshake(served: dict[str, str], bundle: str, name: str, folder: Path) -> str | None:
    """A TLS 1.3 handshake in memory; gives the protocol. Raises `ssl.SSLError`."""
    pair = folder / "pair.pem"
    pair.write_text(served["tls.crt"] + served["tls.key"])
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pair)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(cadata=bundle)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up, server_hostname=name)
    server = server_side.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


async def test_a_first_round_fills_everything(rotation: Make, cluster: Any, tmp_path: Path) -> None:
    """After one round every server has a leaf that every bundle vouches for, under each of its names."""
    await rotation().round(datetime.now(UTC))
    hooks = _hooks(cluster.kubectl)
    bundle = _bundle(cluster.kubectl)

    assert {base64.b64decode(hook["clientConfig"]["caBundle"]).decode() for hook in hooks} == {bundle}
    for target in (BROKER, ADMISSION):
        served = _secret(cluster.kubectl, target)
        assert set(served) == {"tls.crt", "tls.key", "ca.crt"}
        assert served["ca.crt"] == bundle
        for name in target.names:
            assert _handshake(served, bundle, name, tmp_path) == "TLSv1.3"


async def test_a_leaf_is_nobody_elses(rotation: Make, cluster: Any, tmp_path: Path) -> None:
    """The broker's certificate does not pass for the admission server's."""
    await rotation().round(datetime.now(UTC))
    served = _secret(cluster.kubectl, BROKER)

    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        _handshake(served, _bundle(cluster.kubectl), ADMISSION.names[2], tmp_path)


async def test_a_second_round_writes_nothing(rotation: Make, cluster: Any) -> None:
    """Idle is idle: no resource version changes."""
    now = datetime.now(UTC)
    await rotation().round(now)
    before = _versions(cluster.kubectl)
    again = rotation()
    await again.round(now + timedelta(hours=1))

    assert _versions(cluster.kubectl) == before
    assert again.complete


async def test_an_upgrade_of_the_chart_takes_nothing_away(rotation: Make, cluster: Any) -> None:
    """Helm's merge leaves what the process wrote into objects that the chart made."""
    await rotation().round(datetime.now(UTC))
    before = _secret(cluster.kubectl, BROKER), _bundle(cluster.kubectl)
    cluster.install("--set", "logLevel=debug")
    hooks = _hooks(cluster.kubectl)

    assert (_secret(cluster.kubectl, BROKER), _bundle(cluster.kubectl)) == before
    assert all(hook["clientConfig"].get("caBundle") for hook in hooks)


async def test_a_connector_gets_its_certificate_from_its_own_release(
    rotation: Make, cluster: Any, tmp_path: Path
) -> None:
    """The connector's chart makes the Secret and opens it; nothing in Doorward's own chart knows of it."""
    cluster.install_connector()
    await rotation(CODE).round(datetime.now(UTC))
    served = _secret(cluster.kubectl, Target(*CODE))

    assert _handshake(served, _bundle(cluster.kubectl), Target(*CODE).names[2], tmp_path) == "TLSv1.3"


async def test_a_closed_secret_holds_nobody_up(rotation: Make, cluster: Any) -> None:
    """A Connector that names a Secret we may not read, or none at all, is skipped and told of."""
    cluster.kubectl("create", "namespace", "elsewhere")
    cluster.kubectl("create", "secret", "generic", "some-service-tls", "-n", "elsewhere")
    here = rotation(("elsewhere", "some-service"), ("nowhere", "service"))
    snapshot = await here.round(datetime.now(UTC))

    assert snapshot.skipped == (Target("elsewhere", "some-service"), Target("nowhere", "service"))
    assert here.complete
    assert _secret(cluster.kubectl, BROKER)["tls.crt"]


async def test_a_secret_that_may_only_be_read_holds_nobody_up(rotation: Make, cluster: Any) -> None:
    """A write that fails is told at the end of the step; the other writes of the step were made."""
    cluster.install_connector()
    role = "doorward-connector-code-certificate"
    patch = '[{"op": "replace", "path": "/rules/0/verbs", "value": ["get"]}]'
    cluster.kubectl("patch", "role", role, "-n", "doorward-code", "--type=json", "-p", patch)

    with pytest.raises(ApiError, match="403"):
        await rotation(CODE).round(datetime.now(UTC))

    assert _secret(cluster.kubectl, BROKER)["tls.crt"]
    assert _secret(cluster.kubectl, ADMISSION)["tls.crt"]


async def test_a_whole_rotation_never_locks_anybody_out(rotation: Make, cluster: Any, tmp_path: Path) -> None:
    """Through renewal, second authority, switch and farewell, yesterday's bundle verifies today's leaf."""
    now = datetime.now(UTC)
    await rotation().round(now)
    first = _bundle(cluster.kubectl)
    now += LIVES.authority * 2 / 3
    steps = [timedelta(0), LIVES.settle, LIVES.linger, timedelta(hours=1)]
    held = first
    for step in steps:
        now += step
        await rotation().round(now)
        served = _secret(cluster.kubectl, BROKER)
        assert _verified(served, held) == _verified(served, _bundle(cluster.kubectl)) == []
        held = _bundle(cluster.kubectl)

    assert held.count("BEGIN CERTIFICATE") == 1
    assert held != first
    keyring = cluster.kubectl.get("secret", objects.KEYRING, "-n", SYSTEM)["data"]
    assert set(keyring) == {"active.crt", "active.key"}


async def test_a_rotation_can_be_asked_for(rotation: Make, cluster: Any) -> None:
    """An annotation of the authority's Secret makes the next one, at once and once."""
    now = datetime.now(UTC)
    await rotation().round(now)
    secret = ("secret", objects.KEYRING, "-n", SYSTEM)
    cluster.kubectl("annotate", *secret, "doorward.dev/rotate=now")
    await rotation().round(now)
    found = cluster.kubectl.get(*secret)

    assert set(found["data"]) == {"active.crt", "active.key", "next.crt", "next.key"}
    assert objects.ROTATE not in found["metadata"].get("annotations", {})
    assert _bundle(cluster.kubectl).count("BEGIN CERTIFICATE") == 2


def _verified(served: dict[str, str], bundle: str) -> list[str]:
    """What is wrong with a leaf, apart from the clock: these tests live in the future."""
    from cryptography import x509  # noqa: PLC0415 - for this one look

    leaf = x509.load_pem_x509_certificate(served["tls.crt"].encode())
    for authority in x509.load_pem_x509_certificates(bundle.encode()):
        try:
            leaf.verify_directly_issued_by(authority)
        except Exception:  # noqa: BLE001, S112 - another authority of the bundle may be the one
            continue
        return []
    return ["no authority of the bundle issued it"]


async def test_whoever_writes_second_starts_over(client: Client, rotation: Make, cluster: Any) -> None:
    """Two processes at once do not overwrite each other."""
    now = datetime.now(UTC)
    await rotation().round(now)
    stale = await objects.read(client, SYSTEM, [BROKER])
    cluster.kubectl("annotate", "configmap", "doorward-ca", "-n", SYSTEM, "touched=yes")

    with pytest.raises(ApiError) as refused:
        await objects.write(client, stale, SetBundle("config-map"), now, LIVES)

    assert refused.value.conflict


async def test_the_account_can_do_no_more(client: Client, cluster: Any) -> None:
    """It reads no other Secret, lists none and makes none: its rights are names, not kinds."""
    cluster.kubectl("create", "secret", "generic", "other", "-n", SYSTEM)

    for question in (
        client.get(resources.SECRETS, "other", SYSTEM),
        client.create(resources.SECRETS, {"metadata": {"name": "new"}}, SYSTEM),
        client.delete(resources.SECRETS, "doorward-ca-key", SYSTEM),
        client.get(resources.PODS, "any", SYSTEM),
    ):
        with pytest.raises(ApiError, match="403"):
            await question
    as_account = f"--as=system:serviceaccount:{SYSTEM}:doorward-certificates"
    with pytest.raises(CommandError, match="forbidden"):
        cluster.kubectl("get", "secrets", "-n", SYSTEM, as_account)
