#!/usr/bin/env python3
"""Precision and recall of `clean` on labels that `noise` made wrong, beside three rules that are in use.

    python3 labels.py IMAGES EMBEDDINGS.npy [--pipe target/release/lfs-pipe] [--seeds 3] [--project 0,32,16] [--few]

IMAGES is a folder `identity/image.jpg`; EMBEDDINGS.npy has a row an image, in the order of the sorted paths, from any network. --project
makes weaker embedders of it: random projections to so many numbers (0: as they are). --few takes identities of 9 images at most. Needs
NumPy. The other rules: the label is not the nearest class centre, the image left out of its own; none of the five nearest neighbours
has the label; more than 75 degrees to the centre of its class.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import tempfile

import numpy as np

CASES = [("uniform", 0.1), ("uniform", 0.3), ("uniform", 0.4), ("look-alike", 0.1), ("look-alike", 0.3), ("merged", 0.1)]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rules(x, label):
    _, y = np.unique(label, return_inverse=True)
    n = len(y)
    sums = np.zeros((y.max() + 1, x.shape[1]))
    np.add.at(sums, y, x)
    near = x @ unit(sums).T
    own = sums[y] - x
    length = np.linalg.norm(own, axis=1)
    rest = np.where(length > 1e-9, (own * x).sum(1) / np.maximum(length, 1e-9), -1)
    angle = near[np.arange(n), y].copy()
    near[np.arange(n), y] = rest
    yield "nearest centre", near.argmax(1) != y
    alike = x @ x.T
    np.fill_diagonal(alike, -9)
    five = np.argpartition(-alike, 5, axis=1)[:, :5]
    yield "5-NN", ~(y[five] == y[:, None]).any(1)
    yield "75 degrees", angle < np.cos(np.radians(75))


def score(flagged, wrong):
    right = (flagged & wrong).sum()
    return right / max(1, flagged.sum()), right / max(1, wrong.sum())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("images", type=pathlib.Path)
    p.add_argument("embeddings", type=pathlib.Path)
    p.add_argument("--pipe", default="target/release/lfs-pipe")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--project", default="0,32,16")
    p.add_argument("--few", action="store_true")
    a = p.parse_args()
    paths = sorted(f for f in a.images.rglob("*.jpg"))
    x = np.load(a.embeddings).astype(np.float64)
    assert len(paths) == len(x), f"{len(paths)} images, {len(x)} embeddings"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        count = {}
        for f in paths:
            count[f.parent.name] = count.get(f.parent.name, 0) + 1
        keep = np.array([not a.few or count[f.parent.name] <= 9 for f in paths])
        for f in (f for f, k in zip(paths, keep) if k):
            link = folder / "images" / f.parent.name / f.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.hardlink_to(f) if link.parent.stat().st_dev == f.stat().st_dev else link.write_bytes(f.read_bytes())
        x = x[keep]
        for d in map(int, a.project.split(",")):
            nodes = []
            text = "[stage.set]\nkind = 'acquire'\nlayout = 'folders'\ninput.source = { path = 'images' }\n"
            for s in range(a.seeds):
                e = unit(x)
                if d:
                    e = unit(e @ np.random.default_rng(1000 + s).normal(size=(x.shape[1], d)))
                np.save(folder / f"e{d}-{s}.npy", e)
                for k, (noise, rate) in enumerate(CASES):
                    of = f"{k}-{s}"
                    nodes.append((noise, rate, s, of))
                    text += (
                        f"[stage.noise-{of}]\nkind = 'noise'\nnoise = '{noise}'\nrate = {rate}\nseed = {s}\n"
                        f"input.dataset = 'set.dataset'\ninput.embeddings = {{ path = 'e{d}-{s}.npy' }}\n"
                        f"[stage.judge-{of}]\nkind = 'clean'\nlabels = 'report'\nstrangers = 'report'\nblur = 'off'\n"
                        f"near-duplicates = 'off'\ninput.dataset = 'noise-{of}.dataset'\n"
                        f"input.embeddings = {{ path = 'e{d}-{s}.npy' }}\ninput.truth = 'noise-{of}.truth'\n"
                    )
            (folder / "pipeline.toml").write_text(text)
            subprocess.run([pathlib.Path(a.pipe).absolute(), "run", "-q"], cwd=folder, check=True)
            table = {}
            for noise, rate, s, of in nodes:
                e = np.load(folder / f"e{d}-{s}.npy")
                with open(folder / f"out/noise-{of}/truth.csv") as f:
                    truth = list(csv.DictReader(f))
                label = np.array([r["label"] for r in truth])
                wrong = label != np.array([r["identity"] for r in truth])
                found = json.loads((folder / f"out/judge-{of}/report/summary.json").read_text())["labels"]["scores"]["all"]
                row = table.setdefault((noise, rate), {})
                for name, flagged in rules(e, label):
                    row.setdefault(name, []).append(score(flagged, wrong))
                row.setdefault("clean", []).append((found["precision"], found["recall"]))
            for (noise, rate), row in table.items():
                cells = "  ".join(f"{n} {np.mean([v[0] for v in r]):.3f}/{np.mean([v[1] for v in r]):.3f}" for n, r in row.items())
                print(f"{d or x.shape[1]:4d} {noise:10s} {rate:.1f}  {cells}", flush=True)


if __name__ == "__main__":
    main()
