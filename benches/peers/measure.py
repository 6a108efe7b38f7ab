#!/usr/bin/env python3
"""Time runners side by side, taking turns, on one workload of generate.py.

    measure.py WORKLOAD [--tools a,b] [--rounds N] [--cold N] [--limit SECONDS] [--out FILE]

Scenarios, in this order; within each, every tool has its turn in every round:
  cold      nothing is known; each round in a folder of its own
  nothing   nothing changed
  leaf      one line was added to one source
  remark    a remark was added to one source: the first stage runs to the same bytes
  back      the source is as it was at first

A figure is the wall time of the whole process. What ran is counted by the commands themselves, in `ran.log`.
Programs are looked for under $PEERS (see setup.sh) and in PATH; $LFS_PIPE names ours.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.abspath(os.environ.get("PEERS", "peers"))
OURS = os.environ.get("LFS_PIPE", os.path.join(HERE, "../../target/release/lfs-pipe"))
COMMANDS = {
    "lfs-pipe": [os.path.abspath(OURS), "run", "-q", "-j2"],
    "ninja": ["ninja", "-j2"],
    "make": ["make", "-j2"],
    "snakemake": [f"{HOME}/snakemake/bin/snakemake", "--cores", "2", "--quiet", "all"],
    "dvc": [f"{HOME}/dvc/bin/dvc", "repro"],
    "redun": [f"{HOME}/redun/bin/redun", "run", "workflow.py", "main"],
}
QUIET = {"DVC_NO_ANALYTICS": "1", "NO_COLOR": "1", "DO_NOT_TRACK": "1"}
SOURCE = {"tree": "data/00/f000.bin", "big": "big.bin"}


def generate(tool, workload, folder):
    subprocess.run([sys.executable, f"{HERE}/generate.py", tool, workload, folder], check=True, stdout=subprocess.DEVNULL)


def run(tool, folder, limit):
    log = os.path.join(folder, "ran.log")
    if os.path.exists(log):
        os.remove(log)
    with open(os.path.join(folder, "said.log"), "wb") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            COMMANDS[tool], cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            env=dict(os.environ, **QUIET), start_new_session=True,
        )
        # `wait` with a timeout would look now and then: the time would come out in steps.
        alarm = threading.Timer(limit, os.killpg, [process.pid, signal.SIGKILL])
        alarm.start()
        process.wait()
        seconds = time.perf_counter() - began
        alarm.cancel()
        over = seconds >= limit
    ran = sum(1 for _ in open(log)) if os.path.exists(log) else 0
    if process.returncode and not over:
        sys.exit(f"{tool} failed in {folder}: see said.log there")
    return {"tool": tool, "seconds": seconds, "ran": ran, "over": over}


def edit(folder, workload, text):
    path = os.path.join(folder, SOURCE.get(workload, "in/s0.txt"))
    with open(path, "ab") as f:
        f.write(text.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload")
    parser.add_argument("--tools", default="lfs-pipe,ninja,make")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300)
    parser.add_argument("--out", default=f"{HOME}/results.jsonl")
    args = parser.parse_args()
    work, base = args.workload, f"{HOME}/measured/{args.workload}-{os.getpid()}"
    tools, results, first = args.tools.split(","), {}, {}

    def take(scenario, tool, folder):
        figure = run(tool, folder, args.limit)
        results.setdefault((scenario, tool), []).append(figure)
        with open(args.out, "a") as f:
            f.write(json.dumps({"workload": work, "scenario": scenario, **figure}) + "\n")
        if figure["over"] and tool in tools:
            tools.remove(tool)

    for i in range(args.cold):
        for tool in list(tools):
            first[tool] = f"{base}/{i}/{tool}"
            generate(tool, work, first[tool])
            time.sleep(0.5)
            take("cold", tool, first[tool])
    folders = {tool: first[tool] for tool in tools}
    # A file that changed a moment ago is looked at again by those that do not trust its time.
    time.sleep(0.2)
    for tool, folder in folders.items():
        run(tool, folder, args.limit)
    scenarios = ["nothing"] if work == "big" else ["nothing", "leaf"] if work == "tree" else ["nothing", "leaf", "remark", "back"]
    texts = {"leaf": "line {}\n", "remark": "# remark {}\n"}
    sources = {t: open(f"{f}/{SOURCE.get(work, 'in/s0.txt')}", "rb").read() for t, f in folders.items() if work != "big"}
    for scenario in scenarios:
        for i in range(1 if scenario == "back" else args.rounds):
            for tool in [t for t in folders if t in tools]:
                if scenario in texts:
                    edit(folders[tool], work, texts[scenario].format(i))
                if scenario == "back":
                    with open(f"{folders[tool]}/{SOURCE.get(work, 'in/s0.txt')}", "wb") as f:
                        f.write(sources[tool])
                time.sleep(0.05)
                take(scenario, tool, folders[tool])
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"{work} on {os.cpu_count()} processors ({cpu}), Linux {platform.release()}")
    print("| | tool | median s | least | most | rounds | stages run |\n|---|---|---|---|---|---|---|")
    for (scenario, tool), figures in results.items():
        s = [f["seconds"] for f in figures]
        over = " (stopped)" if figures[-1]["over"] else ""
        print(f"| {scenario} | {tool} | {statistics.median(s):.4f}{over} | {min(s):.4f} | {max(s):.4f} | {len(s)} | {figures[-1]['ran']} |")
    shutil.rmtree(base)


main()
