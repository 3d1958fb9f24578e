"""The file that operator, admission and broker render from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doorward.errors import ConfigError
from doorward.render import RenderSettings

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def load(document: Any, *, ca_pem: str = CA, broker_ip: str = "10.96.0.10") -> RenderSettings:
    """Settings from a document."""
    return RenderSettings.load(json.dumps(document).encode(), ca_pem=ca_pem, broker_ip=broker_ip)


def test_quantities_become_canonical() -> None:
    """What the chart writes is compared in the server's spelling."""
    amounts = {"cpu": "1000m", "memory": "1024Mi", "ephemeral-storage": "1Gi"}
    found = load(
        {"doorImage": "door", "doorResources": {"requests": amounts, "limits": amounts}, "tmpSize": "1024Ki"}
    )

    assert found.door_resources.limits == {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
    assert found.tmp_size == "1Mi"


WRONG: list[tuple[Any, str]] = [
    ({}, "doorImage: the sidecar's image is required"),
    ({"doorImage": "door", "doorImages": "x"}, "doorImages: not a member"),
    ({"doorImage": "door", "caPem": CA}, "caPem: not a member"),
    ({"doorImage": "door", "brokerPort": "8443"}, "brokerPort: must be a whole number"),
    ({"doorImage": "door", "imagePullPolicy": "Sometimes"}, "imagePullPolicy: must be one of"),
    ({"doorImage": "door", "tmpSize": "lots"}, "tmpSize: 'lots' is not a quantity"),
    ({"doorImage": "door", "agentResources": {"limits": {}}}, "agentResources: must be {requests, limits}"),
    ({"doorImage": "door", "agentResources": {"requests": {}, "limits": {}}}, "must each name cpu, memory"),
    ({"doorImage": "door", "tolerations": ["x"]}, "tolerations: must be a list of tolerations"),
    ({"doorImage": "door", "nodeSelector": []}, "nodeSelector: must be an object of texts"),
    ({"doorImage": 3}, "doorImage: must be a text"),
    ([], "render.json: the body must be a JSON object"),
]


@pytest.mark.parametrize(("document", "sentence"), WRONG)
def test_a_wrong_member_is_named(document: Any, sentence: str) -> None:
    """The process does not start, and the message says which member and what it takes."""
    with pytest.raises(ConfigError) as refused:
        load(document)

    assert sentence in str(refused.value)


def test_a_missing_bundle_and_a_name_for_an_address_are_refused() -> None:
    """A pod without a CA or with a name in hostAliases would never open its door."""
    with pytest.raises(ConfigError, match=r"CA bundle holds no certificate.*'broker' is not an IP address"):
        load({"doorImage": "door"}, ca_pem="", broker_ip="broker")
