"""lfs-train beside PyTorch, in alternation: `measure.py PYTHON [rounds] [bfloat16 | fastest]`. PYTHON is one with torch 2.11.0.

`measure.py - [rounds]` is portable arithmetic beside the fastest, without PyTorch.

Build first: `cargo build --release -p lfs-train --example measure`. Prints a row a network: images a second (median, and
least and greatest), the ratio of the medians, peak memory."""

import json
import os
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
own = here.parents[1] / "target/release/examples/measure"
python, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
# Compiling takes a minute a network: once is enough.
compiled_rounds = min(rounds, 1)
threads = "2"
precision = [word for word in sys.argv[3:4] if word == "bfloat16"]
own_words = sys.argv[3:4]
# Name, settings, side, classes, batch, steps.
CASES = [
    ("resnet-small", {"resnet-small": {}}, 32, 500, 64, 80),
    ("resnet-4stage", {"resnet-4stage": {}}, 56, 500, 64, 25),
    ("mobilefacenet", {"mobilefacenet": {}}, 32, 500, 64, 40),
    ("mobilefacenet", {"mobilefacenet": {}}, 112, 500, 32, 12),
    ("iresnet-18", {"iresnet": {"depth": "18"}}, 112, 500, 16, 8),
]


def call(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": threads})
    rate, peak = done.stdout.split()[-2:]
    return float(rate), int(peak) / 1024


if python == "-":
    print("| network, side, batch | portable | fastest | round by round |")
    print("|---|---|---|---|")
else:
    print("| network, side, batch | lfs-train | PyTorch eager | ratio | PyTorch compiled | ratio | peak MiB, each |")
    print("|---|---|---|---|---|---|---|")
for name, settings, side, classes, batch, steps in CASES:
    numbers = [str(n) for n in (side, classes, batch, steps)] + [threads]
    if python == "-":
        seen = [[], []]
        for number in range(rounds):
            for words, results in zip(([], ["fastest"]), seen):
                results.append(call([str(own), json.dumps(settings), *numbers, *words])[0])
        ratios = [a / b for a, b in zip(*seen)]
        cells = [f"{statistics.median(r):.0f} ({min(r):.0f} to {max(r):.0f})" for r in seen]
        print(f"| {name}, {side}, {batch} | {cells[0]} | {cells[1]} | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)
        continue
    programs = [
        [str(own), json.dumps(settings), *numbers, *own_words],
        [python, str(here / "pytorch.py"), name, *numbers, *precision],
        [python, str(here / "pytorch.py"), name, *numbers, *precision, "compile"],
    ]
    seen = [[], [], []]
    for number in range(rounds):
        for program, results in zip(programs if number < compiled_rounds else programs[:2], seen):
            try:
                results.append(call(program))
            except subprocess.CalledProcessError as e:
                print(e.stderr[-500:], file=sys.stderr)
    cells, medians = [], []
    for results in seen:
        rates = [r for r, _ in results]
        medians.append(statistics.median(rates) if rates else float("nan"))
        cells.append(f"{medians[-1]:.0f} ({min(rates):.0f} to {max(rates):.0f})" if rates else "")
    peaks = ", ".join(f"{max(p for _, p in results):.0f}" if results else "" for results in seen)
    ratios = [f"{medians[0] / m:.2f}" if m == m else "" for m in medians[1:]]
    print(f"| {name}, {side}, {batch} | {cells[0]} | {cells[1]} | {ratios[0]} | {cells[2]} | {ratios[1]} | {peaks} |", flush=True)
