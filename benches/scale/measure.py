"""What data stages take of memory and time as a set grows: `measure.py [IMAGES ..]` (default 10000 100000 1000000).

Build first: `cargo build --release`. Needs about 12 kB of disk an image, in the folder for temporary files (TMPDIR). The photographs
are those that the environment's LFS_DATA names (`lfw-subset`), cropped once, and packed as RecordIO again and again with a comment that
makes each file another one. The same set is then acquired, cleaned (without near duplicates, which are all of one another here) and
aligned; then one in a hundred images is another one, and all runs again. Memory is what a worker holds for itself (RssAnon, sampled 20
times a second): pages of mapped files are the system's, and go when memory is short."""

import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

here = pathlib.Path(__file__).resolve().parent
built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here.parents[1] / "target")) / "release"
photographs = pathlib.Path(os.environ["LFS_DATA"]) / "lfw-subset"
CROPS = """
[stage.faces]
kind = "acquire"
layout = "folders"
input.source = {{ path = "{data}/images" }}
input.landmarks = {{ path = "{data}/landmarks.tsv" }}
[stage.align]
kind = "align"
quality = 80
input.dataset = "faces"
[stage.pack]
kind = "publish"
format = "folders"
input.dataset = "align"
"""
PIPELINE = """
[stage.acquire]
kind = "acquire"
layout = "container"
crops = true
input.source = { path = "set" }
[stage.clean]
kind = "clean"
near-duplicates = "off"
input.dataset = "acquire"
[stage.align]
kind = "align"
without-landmarks = "centre-crop"
check = "off"
input.dataset = "clean"
"""


def run(folder, *arguments):
    """Runs the pipeline; seconds and peak memory (MB) of each stage that ran."""
    events = folder / "events.jsonl"
    events.unlink(missing_ok=True)
    process = subprocess.Popen([built / "lfs-pipe", "run", "--events", events, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)
    peaks, stage, seconds = {}, None, {}

    def watch():
        nonlocal stage
        told = None
        while process.poll() is None:
            time.sleep(0.05)
            if told is None and events.exists():
                told = open(events)
            for line in told or []:
                event = json.loads(line)
                if event["event"] == "node-started":
                    stage = event["node"]
            for status in pathlib.Path("/proc").glob("[0-9]*/status"):
                try:
                    text = status.read_text()
                except OSError:
                    continue
                # A process that has ended has no memory any more.
                if text.startswith("Name:\tlfs-stages") and "RssAnon:" in text:
                    peaks[stage] = max(peaks.get(stage, 0), int(text.split("RssAnon:")[1].split()[0]) / 1000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.stderr.read()
    watcher.join()
    assert process.wait() == 0, said
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "node-finished":
            seconds[event["node"]] = event.get("seconds", 0)
    return seconds, peaks


def crops(folder):
    """The photographs as crops."""
    (folder / "pipeline.toml").write_text(CROPS.format(data=photographs))
    subprocess.run([built / "lfs-pipe", "run", "-q"], cwd=folder, check=True)
    return [path.read_bytes() for path in sorted((folder / "out/pack").rglob("*.jpg"))]


def pack(folder, images, count, changed):
    """`train.rec`, `train.idx` and `property` of so many images, ten a person; `changed` of them are others."""
    folder.mkdir(exist_ok=True)
    with open(folder / "train.rec", "wb") as rec, open(folder / "train.idx", "w") as index:
        def record(key, flag, label, content):
            print(f"{key}\t{rec.tell()}", file=index)
            head = struct.pack("<IfQQ", flag, *((0, key, 0) if flag else (label, key, 0)))
            body = head + (struct.pack(f"<{flag}f", *label) if flag else b"") + content
            rec.write(struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4))

        persons = -(-count // 10)
        record(0, 2, (count + 1, count + 1 + persons), b"")
        for k in range(count):
            image = images[k % len(images)]
            text = f"{k}, {'another' if k in changed else 'the first'}".encode()
            record(k + 1, 0, float(k // 10), image[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + image[2:])
        for person in range(persons):
            record(count + 1 + person, 2, (10 * person + 1, min(10 * person + 11, count + 1)), b"")
    (folder / "property").write_text(f"{persons},112,112\n")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "crops").mkdir()
    images = crops(folder / "crops")
    processor = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{processor}; seconds, and MB of memory\n\n| images | stage | all of it | | 1 % changed | |\n|---|---|---|---|---|---|", flush=True)
    for count in [int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]:
        project = folder / str(count)
        project.mkdir()
        (project / "pipeline.toml").write_text(PIPELINE)
        pack(project / "set", images, count, set())
        first = run(project)
        pack(project / "set", images, count, set(random.Random(1).sample(range(count), count // 100)))
        second = run(project)
        for stage in ("acquire", "clean", "align"):
            row = [f"{seconds[stage]:.1f} | {peaks.get(stage, 0):.0f}" for seconds, peaks in (first, second)]
            print(f"| {count} | {stage} | {' | '.join(row)} |", flush=True)
        shutil.rmtree(project)
