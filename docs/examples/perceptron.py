#!/usr/bin/env python3
"""A worker in Python: one kind, `perceptron`, whose training is a chain of steps.

    [workers]
    mine = { command = ["python3", "perceptron.py"], files = ["perceptron.py"] }

    [stage.fit]
    kind = "perceptron"
    epochs = 10
    input.points = { path = "points.csv" }   # lines `x,y,label`, label 1 or -1

Stop it after six epochs and start it again: it goes on with the seventh.
docs/workers.md describes every message.
"""

import hashlib
import json
import pathlib
import sys

CODE = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()

KIND = {
    "name": "perceptron",
    "summary": "Finds a line between two sets of points",
    "parameters": {
        "type": "object",
        "additionalProperties": False,
        "required": ["epochs"],
        "properties": {
            "epochs": {"type": "integer", "minimum": 1, "description": "How often all points are seen."},
            "rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "default": 1.0,
                     "description": "How far a wrong point moves the line."},
            "order": {"enum": ["file", "reversed"], "default": "file", "description": "In which order points come."},
            "verbose": {"type": "boolean", "default": False, "description": "Whether to log each epoch."},
            "decay": {"type": "object", "additionalProperties": False, "default": {"every": 3},
                      "x-when": {"order": ["reversed"]}, "description": "Counts with order = \"reversed\" alone.",
                      "properties": {"every": {"type": "integer", "minimum": 1, "default": 3,
                                               "description": "Epochs between two halvings of the rate."}}},
        },
    },
    "inputs": [{"name": "points", "about": "CSV of x,y,label", "shape": "one"},
               {"name": "more", "about": "further points", "shape": "optional"}],
    "outputs": [{"name": "line", "path": "line.json", "about": "the weights and the errors of the last epoch"},
                {"name": "curve", "path": "curve.csv", "about": "errors by epoch"}],
    "code": {"perceptron.py": CODE},
    "facts": {"python": sys.version.split()[0]},
}

def say(**message):
    print(json.dumps(message), flush=True)


def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)  # the host has gone away
    return json.loads(line)


def points(job):
    rows = []
    for name in ("points", "more"):
        if name in job["inputs"]:
            text = pathlib.Path(job["inputs"][name]["one"]).read_text()
            rows += [[float(f) for f in line.split(",")] for line in text.splitlines() if line.strip()]
    return rows


def epoch(job, spec, before, folder):
    """One step: from the folder of the epoch before, if there is one, to `folder`."""
    state = json.loads((before / "state.json").read_text()) if before else {"w": [0.0, 0.0, 0.0]}
    w, errors = state["w"], 0
    rows = points(job)
    for x, y, label in rows if spec["order"] == "file" else rows[::-1]:
        if label * (w[0] * x + w[1] * y + w[2]) <= 0:
            errors += 1
            w = [a + spec["rate"] * label * b for a, b in zip(w, (x, y, 1.0))]
    (folder / "state.json").write_text(json.dumps({"w": w, "errors": errors}))


def run(job):
    p = job["parameters"]
    known, curve = None, []  # digest and folder of the epoch before
    for n in range(p["epochs"]):
        rate = p["rate"] / 2 ** (n // p["decay"]["every"]) if "decay" in p else p["rate"]
        spec = {"rate": rate, "order": p["order"]}
        say(event="steps", steps=[{"name": f"epoch {n}", "spec": spec, "inputs": ["points", "more"],
                                   "after": [known["digest"]] if known else []}])
        answer = hear()["answers"][0]
        if "compute" in answer:
            before = pathlib.Path(known["folder"]) if known else None
            epoch(job, spec, before, pathlib.Path(answer["compute"]["folder"]))
            say(event="step-done", index=0)
            answer = hear()["answers"][0]
        known = answer["known"]
        state = json.loads((pathlib.Path(known["folder"]) / "state.json").read_text())
        curve.append(state["errors"])
        say(event="progress", doing=f"epoch {n}", done=n + 1, total=p["epochs"], unit="epochs",
            figures={"errors": state["errors"]})
        if p["verbose"]:
            say(event="note", text=f"epoch {n}: {state['errors']} errors")
    say(event="metric", name="errors", value=curve[-1])
    pathlib.Path(job["outputs"]["line"]).write_text(json.dumps(state))
    pathlib.Path(job["outputs"]["curve"]).write_text("".join(f"{n},{e}\n" for n, e in enumerate(curve)))


if sys.argv[1:] == ["describe"]:
    print(json.dumps({"protocol": 1, "worker": "perceptron 1", "kinds": [KIND]}))
elif sys.argv[1:] == ["serve"]:
    while True:
        request = hear()
        try:
            if request["do"] == "run":
                run(request)
            elif request["do"] == "run-step":
                before = [pathlib.Path(f) for f in request["after"]]
                epoch(request["job"], request["step"]["spec"], before[0] if before else None, pathlib.Path(request["folder"]))
            say(event="done")
        except Exception as error:  # whatever goes wrong is told to the host, and the worker stays
            say(event="failed", message=str(error))
else:
    sys.exit("usage: perceptron.py describe | serve")
