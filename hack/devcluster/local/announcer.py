"""A network plugin, last in the chain: tells the enforcer a new pod's address and waits for its rules.

It runs before any process of the pod does, with the standard library only, as it is started for every pod.
When the enforcer does not answer in time the pod starts all the same: an unknown address is cut off anyway.
"""

import json
import os
import socket
import sys

_PATIENCE = 3.0
"""Seconds."""


def main() -> None:
    """Speak the plugin protocol: command in the environment, configuration on stdin, result on stdout."""
    command = os.environ.get("CNI_COMMAND")
    if command == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}))
        return
    config = json.load(sys.stdin)
    if command == "ADD":
        _announce(config)
        print(json.dumps(config["prevResult"]))


def _announce(config: dict[str, object]) -> None:
    words = dict(pair.split("=", 1) for pair in os.environ.get("CNI_ARGS", "").split(";") if "=" in pair)
    message = {
        "namespace": words.get("K8S_POD_NAMESPACE", ""),
        "name": words.get("K8S_POD_NAME", ""),
        "ip": config["prevResult"]["ips"][0]["address"].split("/")[0],  # type: ignore[index]
    }
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(str(config["socket"]))
            client.sendall(json.dumps(message).encode() + b"\n")
            client.recv(16)
        except OSError as error:
            print(f"the enforcer did not answer: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
