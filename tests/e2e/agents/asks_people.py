"""Comments twice where people have to agree, and tells what came of each; one line of JSON a step."""

import json
import os
import urllib.error
import urllib.request

ISSUE = {"owner": "acme", "repo": "web", "number": 2}


def ask(method, path, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    headers |= {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(os.environ["DOORWARD_URL"] + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def waited(request):
    while True:
        found = ask("GET", f"/v1/requests/{request}", Prefer="wait=50")
        if found.get("state") != "pending":
            return found


task = ask("GET", "/v1/task")
bodies = task["input"]["bodies"]
reason = {"Doorward-Reason": "the reporter waits"}
parked = [ask("POST", "/v1/actions/code/issue.comment", {**ISSUE, "body": body}, **reason) for body in bodies]
for answer in parked:
    print(json.dumps({"grant": answer.get("grant"), "code": answer.get("code")}), flush=True)
early = ask("POST", f"/v1/requests/{parked[0]['request']}/run")
print(json.dumps({"early": early.get("code")}), flush=True)
for answer in parked:
    state = waited(answer["request"]).get("state")
    done = ask("POST", f"/v1/requests/{answer['request']}/run")
    again = ask("POST", f"/v1/requests/{answer['request']}/run")
    said = {"state": state, "code": done.get("code"), "capability": done.get("receipt", {}).get("capability")}
    print(json.dumps({**said, "again": again.get("code")}), flush=True)
