"""Which claims and volumes the development provisioner takes care of."""

from pathlib import Path
from typing import Any

import pytest

from devcluster.local.volumes import released, volume, wanted

CLAIM: dict[str, Any] = {
    "metadata": {"namespace": "space", "name": "data", "uid": "u-1"},
    "spec": {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


def test_a_pending_claim_of_our_class_is_wanted() -> None:
    """It waits for nobody else."""
    assert wanted(CLAIM)


@pytest.mark.parametrize(
    "change",
    [{"storageClassName": "other"}, {"storageClassName": None}, {"volumeName": "chosen"}],
    ids=["another class", "no class", "chosen volume"],
)
def test_claims_that_are_not_ours_are_left_alone(change: dict[str, Any]) -> None:
    """Another class has another provisioner, and a chosen volume needs none."""
    assert not wanted({**CLAIM, "spec": CLAIM["spec"] | change})


def test_a_volume_belongs_to_exactly_the_claim_it_was_made_for() -> None:
    """Bound by uid: a claim of the same name that is made later does not inherit the data."""
    made = volume(CLAIM, Path("/somewhere"))

    assert made["spec"]["claimRef"]["uid"] == "u-1"
    assert made["spec"]["capacity"] == {"storage": "1Gi"}


def test_only_our_own_released_volumes_are_removed() -> None:
    """Somebody else's volume is never touched, nor ours while it is bound."""
    made = volume(CLAIM, Path("/somewhere"))
    foreign = {**made, "metadata": {"name": "foreign"}}

    assert released({**made, "status": {"phase": "Released"}})
    assert not released({**made, "status": {"phase": "Bound"}})
    assert not released({**foreign, "status": {"phase": "Released"}})
