#!/usr/bin/env python3
"""Speed of an evaluation beside NumPy.

    python3 measure.py scan [--speed target/release/examples/speed] [--rounds 5]
    python3 measure.py ijb FOLDER [--pipe target/release/lfs-pipe] [--part 1.0]

`scan`: the best of 100,000 gallery images for each of 3,530 probes, 512 numbers, in alternation with NumPy's product, whole and in
blocks. Needs `cargo build --release -p lfs-evaluate --example speed`.

`ijb`: an evaluation of the size of IJB-C (469,375 images, 23,124 templates, 15,658,489 pairs, two galleries) on random embeddings,
with 1,000 replicates of the bootstrap and without. --part makes it smaller. FOLDER is filled with 1.2 GB.
"""

import argparse
import pathlib
import re
import resource
import statistics
import subprocess
import time

import numpy as np


def show(what, times):
    print(f"{what}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")


def scan(args):
    rng = np.random.default_rng(0)
    probes, gallery = (rng.standard_normal((n, 512), dtype=np.float32) for n in (3530, 100_000))
    own, whole, blocks = [], [], []
    for _ in range(args.rounds):
        said = subprocess.run([args.speed, "scan"], capture_output=True, text=True, check=True).stdout
        own.append(float(re.search(r"median ([0-9.]+) s", said).group(1)))
        start = time.perf_counter()
        (probes @ gallery.T).max(axis=1)
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        for k in range(0, len(gallery), 8192):
            (probes @ gallery[k : k + 8192].T).max(axis=1)
        blocks.append(time.perf_counter() - start)
    show("lfs-evaluate", own)
    show("NumPy, whole product", whole)
    show("NumPy, blocks of 8,192", blocks)


def ijb(args):
    meta = args.folder / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    persons, templates, images, pairs = (int(n * args.part) for n in (3531, 23_124, 469_375, 15_658_489))
    person = np.sort(np.r_[np.arange(persons), rng.integers(0, persons, templates - persons)])
    template = np.sort(np.r_[np.arange(templates), rng.integers(0, templates, images - templates)])
    centre = rng.standard_normal((persons, 512), dtype=np.float32)
    rows = np.lib.format.open_memmap(args.folder / "E.npy", "w+", "<f4", (images, 512))
    for k in range(0, images, 20_000):
        some = template[k : k + 20_000]
        rows[k : k + 20_000] = centre[person[some]] + 26 * rng.standard_normal((len(some), 512), dtype=np.float32)
    rows.flush()
    del rows
    names = [f"{k + 1}.jpg" for k in range(images)]
    (args.folder / "names.txt").write_text("\n".join(names) + "\n")
    lines = (f"{n} {t} {10 * t + m}\n" for n, t, m in zip(names, template, rng.integers(0, 5, images)))
    (meta / "ijbc_face_tid_mid.txt").write_text("".join(lines))
    first, count = np.searchsorted(person, np.arange(persons)), np.bincount(person, minlength=persons)
    a, b = rng.integers(0, templates, (2, pairs))
    genuine = min(19_557, pairs // 10)
    b[:genuine] = first[person[a[:genuine]]] + rng.integers(0, 1 << 30, genuine) % count[person[a[:genuine]]]
    with open(meta / "ijbc_template_pair_label.txt", "w") as out:
        for x, y, same in zip(a, b, person[a] == person[b]):
            out.write(f"{x} {y} {int(same)}\n")
    probes = np.setdiff1d(np.arange(templates), first)
    for name, some in (("gallery_G1", first[::2]), ("gallery_G2", first[1::2]), ("probe_mixed", probes)):
        lines = (f"{t},{person[t]}\n" for t in some)
        (meta / f"ijbc_1N_{name}.csv").write_text("TEMPLATE_ID,SUBJECT_ID\n" + "".join(lines))
    call = [args.pipe, "evaluate", "--embeddings", args.folder / "E.npy", "--names", args.folder / "names.txt"]
    call += ["--protocol", "ijb-c", "--pairs", meta]
    for replicates in (0, 1000):
        start = time.perf_counter()
        subprocess.run([*call, "--bootstrap", str(replicates)], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"{replicates} replicates: {time.perf_counter() - start:.1f} s, at most {peak:.1f} GB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    one = what.add_parser("scan")
    one.add_argument("--speed", default="target/release/examples/speed")
    one.add_argument("--rounds", type=int, default=5)
    one.set_defaults(run=scan)
    two = what.add_parser("ijb")
    two.add_argument("folder", type=pathlib.Path)
    two.add_argument("--pipe", default="target/release/lfs-pipe")
    two.add_argument("--part", type=float, default=1.0)
    two.set_defaults(run=ijb)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
