"""A small provisioner: a folder per claim of the class `local`, made at once and removed with it.

Run as `python -m devcluster.local.volumes KUBECONFIG FOLDER`.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import aiohttp

from devcluster.local.manifests import PROVISIONER, STORAGE_CLASS
from devcluster.watching import Cache, Client, Object, follow

_VOLUMES = "/api/v1/persistentvolumes"


class Provisioner:
    """Makes a volume for each pending claim, removes volumes whose claim is gone."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, folder

    async def act(self, caches: dict[str, Cache]) -> None:
        """Bring volumes into line with claims. Done twice, it changes nothing."""
        volumes = {v["metadata"]["name"]: v for v in caches["volumes"].objects.values()}
        for claim in caches["claims"].objects.values():
            if wanted(claim) and name(claim) not in volumes:
                await self._make(claim)
        for volume in volumes.values():
            if released(volume):
                await self._remove(volume["metadata"]["name"])

    async def _make(self, claim: Object) -> None:
        path = self._folder / name(claim)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        await self._tolerant("POST", _VOLUMES, volume(claim, path))

    async def _remove(self, volume_name: str) -> None:
        await self._tolerant("DELETE", f"{_VOLUMES}/{volume_name}")
        shutil.rmtree(self._folder / volume_name, ignore_errors=True)

    async def _tolerant(self, method: str, path: str, body: Object | None = None) -> None:
        try:
            await self._client.call(method, path, body)
        except aiohttp.ClientResponseError as error:
            if error.status not in {404, 409}:  # the cache was behind
                raise


def wanted(claim: Object) -> bool:
    """Whether a claim waits for a volume of ours."""
    spec: dict[str, Any] = claim["spec"]
    phase = claim.get("status", {}).get("phase", "Pending")
    return bool(
        spec.get("storageClassName") == STORAGE_CLASS and not spec.get("volumeName") and phase == "Pending"
    )


def released(volume: Object) -> bool:
    """Whether a volume is ours and its claim is gone."""
    ours = volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
    return bool(ours and volume.get("status", {}).get("phase") in {"Released", "Failed"})


def name(claim: Object) -> str:
    """The name of a claim's volume: the claim's uid makes it unique for ever."""
    return f"local-{claim['metadata']['uid']}"


def volume(claim: Object, path: Path) -> Object:
    """The volume for a claim, already bound to it, as large as the claim asks."""
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name(claim), "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",  # nobody but us removes it
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": str(path), "type": "Directory"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        },
    }


async def main(kubeconfig: str, folder: str) -> None:
    """Serve claims until killed."""
    paths = {"claims": "/api/v1/persistentvolumeclaims", "volumes": _VOLUMES}
    async with Client(Path(kubeconfig)) as client:
        await follow(client, paths, Provisioner(client, Path(folder)).act)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
