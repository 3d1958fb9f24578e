"""Comments twice where people have to agree, and tells what came of each; one line of JSON a step.

It asks as asking.py does, which is put before it.
"""

ISSUE = {"owner": "acme", "repo": "web", "number": 2}


def waited(request):
    while True:
        found = ask("GET", f"/v1/requests/{request}", Prefer="wait=50")[1]
        if found.get("state") != "pending":
            return found


def run(request):
    return ask("POST", f"/v1/requests/{request}/run")[1]


task = ask("GET", "/v1/task")[1]
bodies = task["input"]["bodies"]
reason = {"Doorward-Reason": "the reporter waits"}
path = "/v1/actions/code/issue.comment"
parked = [ask("POST", path, {**ISSUE, "body": body}, **reason)[1] for body in bodies]
for answer in parked:
    print(json.dumps({"grant": answer.get("grant"), "code": answer.get("code")}), flush=True)
print(json.dumps({"early": run(parked[0]["request"]).get("code")}), flush=True)
for answer in parked:
    state = waited(answer["request"]).get("state")
    done, again = run(answer["request"]), run(answer["request"])
    said = {"state": state, "code": done.get("code"), "capability": done.get("receipt", {}).get("capability")}
    print(json.dumps({**said, "again": again.get("code")}), flush=True)
