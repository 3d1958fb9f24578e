"""What every agent of these tests begins with: it asks its door, and again where that is no answer yet."""

import json
import os
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 240
NOT_YET = ("unavailable", "rate_limited")
pause = threading.Event().wait


def once(method, path, body=None, **headers):
    """Status and document of one answer."""
    data = None if body is None else json.dumps(body).encode()
    headers |= {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(os.environ["DOORWARD_URL"] + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, document(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, document(error.read())


def document(data):
    try:
        return json.loads(data)
    except ValueError:
        return {}


def ask(method, path, body=None, **headers):
    """The same; where nothing was decided yet, or the door starts anew, asked for again for a while."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            status, answer = once(method, path, body, **headers)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > until:
                raise
        else:
            early = status >= 400 and answer.get("code") in NOT_YET and "decision" not in answer
            if not early or time.monotonic() > until:
                return status, answer
        pause(0.5)
