#!/usr/bin/env python3
"""Write one workload for one runner, in that runner's own language.

    generate.py TOOL WORKLOAD DIR

TOOL       lfs-pipe, ninja, n2, make, snakemake, dvc, redun
WORKLOAD   layers    1,000 stages: 10 layers of 100, each joins two outputs of the layer below
           layers10k 10,000 stages: 10 layers of 1,000
           chain     200 stages, each copies the one before
           tree      one stage that reads a folder of 20,000 files of 5 kB
           big       one stage that reads a file of 2 GiB

Each command appends its name to `ran.log`: that file says, whatever a tool prints, what ran. Stages of the
first layer leave lines with `#` out, so that a remark in a source changes no result.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import namedtuple

Stage = namedtuple("Stage", "name inputs output command")
HOME = os.path.abspath(os.environ.get("PEERS", "peers"))
FOLDERS, FILES, SIZE, GIB = 100, 200, 5000, 2


def layers(width, depth=10):
    for k in range(depth):
        for j in range(width):
            output = f"out/l{k}_{j}.txt"
            if k == 0:
                yield Stage(f"l{k}_{j}", [f"in/s{j}.txt"], output, "grep -v '^#' {0} > {out}")
            else:
                below = [f"out/l{k - 1}_{j}.txt", f"out/l{k - 1}_{(j + 1) % width}.txt"]
                yield Stage(f"l{k}_{j}", below, output, "cat {0} {1} > {out}")


def chain(length=200):
    yield Stage("c0", ["in/s0.txt"], "out/c0.txt", "grep -v '^#' {0} > {out}")
    for k in range(1, length):
        yield Stage(f"c{k}", [f"out/c{k - 1}.txt"], f"out/c{k}.txt", "cat {0} > {out}")


WORKLOADS = {
    "layers": lambda: layers(100),
    "layers10k": lambda: layers(1000),
    "chain": chain,
    "tree": lambda: [Stage("tree", ["data"], "out/tree.txt", "ls {0} | wc -l > {out}")],
    "big": lambda: [Stage("big", ["big.bin"], "out/big.txt", "wc -c < {0} > {out}")],
}


def tree():
    return [f"data/{d:02}/f{f:03}.bin" for d in range(FOLDERS) for f in range(FILES)]


def write_inputs(workload, stages):
    os.makedirs("out")
    rng = random.Random(7)
    if workload == "tree":
        for path in tree():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(rng.randbytes(SIZE))
    elif workload == "big":
        shared = os.path.join(HOME, "big.bin")
        if not os.path.exists(shared):
            with open(shared, "wb") as f:
                for _ in range(GIB << 10):
                    f.write(os.urandom(1 << 20))
        os.link(shared, "big.bin")
    else:
        os.makedirs("in")
        for path in sorted({i for s in stages for i in s.inputs if i.startswith("in/")}):
            with open(path, "w") as f:
                f.write(f"source {path}\n")


def shell(stage):
    return stage.command.format(*stage.inputs, out=stage.output) + f" && echo {stage.name} >> ran.log"


def last(stages):
    used = {i for s in stages for i in s.inputs}
    return [s.output for s in stages if s.output not in used]


def by_file(inputs):
    """Tools that know files alone get every file of the folder."""
    return [f for i in inputs for f in (tree() if i == "data" else [i])]


def lfs_pipe(stages):
    made = {s.output: s.name for s in stages}
    log = os.path.abspath("ran.log")
    with open("pipeline.toml", "w") as f:
        f.write('[pipeline]\nout = "results"\n')
        for s in stages:
            names = [f"$IN_{chr(97 + i)}" for i in range(len(s.inputs))]
            run = s.command.format(*names, out="$OUT_text") + f" && echo {s.name} >> {log}"
            f.write(f'\n[stage.{s.name}]\nkind = "command"\nrun = {json.dumps(run)}\noutput.text = "text.txt"\n')
            for i, path in enumerate(s.inputs):
                source = json.dumps(made[path]) if path in made else f"{{ path = {json.dumps(path)} }}"
                f.write(f"input.{chr(97 + i)} = {source}\n")


def ninja(stages):
    with open("build.ninja", "w") as f:
        f.write("rule run\n  command = $cmd\n")
        for s in stages:
            f.write(f"build {s.output}: run {' '.join(by_file(s.inputs))}\n  cmd = {shell(s).replace('$', '$$')}\n")
        f.write(f"default {' '.join(last(stages))}\n")


def make(stages):
    with open("Makefile", "w") as f:
        f.write(f".PHONY: all\nall: {' '.join(last(stages))}\n")
        for s in stages:
            f.write(f"{s.output}: {' '.join(by_file(s.inputs))}\n\t@{shell(s).replace('$', '$$')}\n")


def snakemake(stages):
    with open("Snakefile", "w") as f:
        f.write(f"localrules: all\nrule all:\n    input: {last(stages)!r}\n")
        for s in stages:
            command = shell(s).replace("{", "{{").replace("}", "}}")
            f.write(f"rule {s.name}:\n    input: {by_file(s.inputs)!r}\n    output: {s.output!r}\n    shell: {command!r}\n")


def dvc(stages):
    program = os.path.join(HOME, "dvc/bin/dvc")
    subprocess.run([program, "init", "--no-scm", "-q"], check=True)
    for key in ["core.analytics", "core.check_update"]:
        subprocess.run([program, "config", key, "false"], check=True)
    text = {"stages": {s.name: {"cmd": shell(s), "deps": s.inputs, "outs": [s.output]} for s in stages}}
    with open("dvc.yaml", "w") as f:
        json.dump(text, f)


REDUN = '''import json
import subprocess
import sys

from redun import Dir, File, task

sys.setrecursionlimit(1_000_000)
redun_namespace = "peers"


@task()
def stage(inputs: list, output: str, command: str) -> File:
    subprocess.run(["sh", "-c", command], check=True)
    return File(output)


@task()
def main() -> list:
    made = {}
    for inputs, output, command in json.load(open("stages.json")):
        sources = [made[i] if i in made else Dir(i) if i == "data" else File(i) for i in inputs]
        made[output] = stage(sources, output, command)
    return list(made.values())
'''


def redun(stages):
    os.makedirs(".redun")
    with open(".redun/redun.ini", "w") as f:
        f.write("[backend]\ndb_uri = sqlite:///redun.db\n[executors.default]\ntype = local\nmax_workers = 2\n")
    with open("stages.json", "w") as f:
        json.dump([(s.inputs, s.output, shell(s)) for s in stages], f)
    with open("workflow.py", "w") as f:
        f.write(REDUN)


TOOLS = {"lfs-pipe": lfs_pipe, "ninja": ninja, "n2": ninja, "make": make, "snakemake": snakemake, "dvc": dvc, "redun": redun}


def generate(tool, workload, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    stages = list(WORKLOADS[workload]())
    write_inputs(workload, stages)
    TOOLS[tool](stages)
    return len(stages)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in TOOLS or sys.argv[2] not in WORKLOADS:
        sys.exit(__doc__)
    print(f"{sys.argv[1]}, {sys.argv[2]}: {generate(*sys.argv[1:])} stages")
