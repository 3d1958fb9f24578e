"""An agent that has got hold of a capability and tries to spend it itself.

Waits for /workspace/loot.json {url, serverName, capability, body}, then sends it to the connector
without a proof and with a proof of its own making, and prints the codes it was answered.
"""

import hashlib
import http.client
import json
import os
import ssl
import sys
import time
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def proof(loot, body):
    key = Ed25519PrivateKey.generate()
    x = b64(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    claims = {
        "aud": loot["audience"],
        "htm": "POST",
        "htu": "/v1/actions",
        "iat": int(time.time()),
        "jti": os.urandom(8).hex(),
        "bh": b64(hashlib.sha256(body).digest()),
        "sid": "mine",
        "ath": b64(hashlib.sha256(loot["capability"].encode()).digest()),
    }
    headers = {"typ": "doorward-proof+jwt", "jwk": {"crv": "Ed25519", "kty": "OKP", "x": x}}
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers)


def send(loot, extra):
    url = urlsplit(loot["url"])
    body = json.dumps(loot["body"]).encode()
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=10, context=context)
    headers = {"Content-Type": "application/json", "Doorward-Capability": loot["capability"]}
    if extra:
        headers["Doorward-Proof"] = proof(loot, body)
    connection.request("POST", "/v1/actions", body, headers)
    answer = connection.getresponse()
    return json.loads(answer.read()).get("code", f"status {answer.status}")


deadline = time.monotonic() + 500
while not os.path.exists("/workspace/loot.json"):
    if time.monotonic() > deadline:
        sys.exit("no loot came")
    time.sleep(0.2)
loot = json.load(open("/workspace/loot.json"))
print(json.dumps({"without proof": send(loot, False), "own proof": send(loot, True)}))
