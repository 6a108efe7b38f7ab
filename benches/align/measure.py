"""`align` beside OpenCV, in alternation: `measure.py PYTHON [rounds]`. PYTHON is one with opencv-python-headless, simplejpeg and numpy.

Build first: `cargo build --release --examples`. The photographs are those that the environment's LFS_DATA names (`lfw-subset`: 250x250
JPEG with five points each), each five times, since a training set is larger than they are. Both make JPEG crops of 112x112 at quality 95:
the stage of kind `align` as a whole (its look at a sample, report, data set, and the runner's hashing of it included; the start of the
program not, as Python's is not), and OpenCV with two processes (decode, the same transform, encode, crops joined into files). Then whole
photographs decoded on one core, beside simplejpeg and OpenCV. Images a second as median (least to most)."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here.parents[1] / "target")) / "release"
python, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
photographs = pathlib.Path(os.environ["LFS_DATA"]) / "lfw-subset"
TIMES = 5
MANIFEST = """
[stage.faces]
kind = "acquire"
layout = "folders"
input.source = {{ path = "{images}" }}
input.landmarks = {{ path = "{landmarks}" }}

[stage.align]
kind = "align"
input.dataset = "faces"
"""


def repeated(data):
    """The photographs again and again, under further identities."""
    lines = (photographs / "landmarks.tsv").read_text().splitlines()
    with open(data / "landmarks.tsv", "w") as out:
        for k in range(TIMES):
            for line in lines:
                path = line.split("\t")[0]
                to = data / "images" / f"{k}-{path}"
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(photographs / "images" / path, to)
                print(f"{k}-{line}", file=out)


def stage(folder):
    """Images a second of the align stage, by its own time. Both stages are run by one process, which `faces` starts."""
    events = folder / "events.jsonl"
    events.unlink(missing_ok=True)
    command = [built / "lfs-pipe", "run", "--events", events] + ["--force", "faces", "--force", "align"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for line in events.read_text().splitlines():
        event = json.loads(line)
        text = json.dumps(event)
        if '"node-finished"' in text and '"align"' in text:
            seconds = float(text.split('"seconds": ')[1].split(",")[0].rstrip("}"))
    report = json.loads(next(folder.glob("out/align/report/residuals.json")).read_text())
    return report["aligned"] / seconds


def python_rate(data, *arguments):
    done = subprocess.run([python, here / "opencv.py", data, *arguments], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def row(name, rates):
    print(f"| {name} | {statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) |")


with tempfile.TemporaryDirectory() as folder:
    data, folder = pathlib.Path(folder) / "data", pathlib.Path(folder) / "project"
    data.mkdir()
    folder.mkdir()
    repeated(data)
    (folder / "pipeline.toml").write_text(MANIFEST.format(images=data / "images", landmarks=data / "landmarks.tsv"))
    stage(folder)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(stage(folder))
        theirs += python_rate(data, "2")
    decode = [[], [], []]
    for _ in range(rounds):
        own = subprocess.run([built / "examples/decode", photographs / "images"], capture_output=True, text=True, check=True)
        for to, rate in zip(decode, [float(own.stdout)] + python_rate(photographs, "decode")):
            to.append(rate)
processor = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
print(f"{processor}, {rounds} rounds; images a second\n\n| | median (least to most) |\n|---|---|")
row("align, the stage as a whole, two threads", ours)
row("OpenCV, two processes", theirs)
row("decode, one core", decode[0])
row("decode, one core, simplejpeg", decode[1])
row("decode, one core, OpenCV", decode[2])
ratios = [a / b for a, b in zip(ours, theirs)]
print(f"\nalign / OpenCV, round by round: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
      f"decode / simplejpeg: {statistics.median(decode[0]) / statistics.median(decode[1]):.2f}")
