#!/usr/bin/env python3
"""Cut the power of a machine in which lfs-pipe runs, set its clock anew, start it again, and look.

    cut.py --kernel LINUX-IMAGE.deb [--rounds N] [--program FILE] [--seed N]

A virtual machine (qemu, software emulation, no rights needed) runs a small pipeline without end, each time with
another input, and holds every output against what it must be. At a random instant the machine is killed: what its
kernel had not put on the disk is lost. The next start has a clock that stands hours or years earlier or later. It
first runs the last inputs again, whose results were written shortly before the cut.

Wrong is: a run that fails, an output that is not what the input gives, and an object whose bytes are not what its
name says once the runs are over.

Needs `qemu-system-x86_64`, a static `busybox`, `mkfs.ext4`, `cpio`, `dpkg-deb`, and a kernel package of Debian
(`apt-get download linux-image-...-cloud-amd64`).
"""

import argparse
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ["virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"]
STAGES = 12
# Names and sizes reach the disk before bytes do: files are there afterwards, and empty; or full of what lay there before.
DISKS = ["data=writeback,commit=1", "data=writeback,commit=1,nodelalloc"]

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /d
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
# What is dirty goes to the disk soon and in no order, not after half a minute: a cut finds any mixture.
echo 100 > /proc/sys/vm/dirty_expire_centisecs
echo 50 > /proc/sys/vm/dirty_writeback_centisecs
for m in MODULES; do insmod /lib/modules/$m.ko; done
options=$(sed 's/.*disk=//' /proc/cmdline)
mount -t ext4 -o $options /dev/vda /d || { echo "WRONG: the disk cannot be mounted"; poweroff -f; }
export HOME=/tmp NO_COLOR=1
mkdir -p /d/p
cd /d/p
cp /pipeline.toml .
expected() { { cat in.txt; seq 1 $((2000 * $1)); } | md5sum; }
check() {
  echo "line $1" > in.txt
  lfs-pipe run -q --overwrite > /tmp/said 2>&1 || { echo "WRONG: input $1, a run failed:"; cat /tmp/said; poweroff -f; }
  for k in $(seq 1 STAGES); do
    [ "$(md5sum < out/s$k/o)" = "$(expected $k)" ] || { echo "WRONG: input $1, output of s$k"; poweroff -f; }
    read sum rest < out/t$k/o
    [ "$sum  -" = "$(expected $k)" ] || { echo "WRONG: input $1, output of t$k"; poweroff -f; }
  done
}
read i < last || i=0
i=$((i + 0))
echo "STARTED at $i, $(date +%Y-%m-%d)"
# What ran shortly before the cut, and once more: all of it must be known to be right now.
for g in $((i + 1)) $i $((i - 1)) $((i - 2)); do [ $g -gt 0 ] && check $g; done
lfs-pipe cache verify > /tmp/said 2>&1 || { echo "WRONG: the cache:"; cat /tmp/said; poweroff -f; }
echo "SOUND"
while true; do
  i=$((i + 1))
  echo $i > last
  check $i
  echo "RAN $i"
done
"""

MANIFEST = """[stage.s{k}]
kind = "command"
run = "{{ cat $IN_text; seq 1 $((2000 * {k})); }} > $OUT_o"
input.text = {{ path = "in.txt" }}
output.o = "o"

[stage.t{k}]
kind = "command"
run = "md5sum < $IN_o > $OUT_o"
input.o = "s{k}"
output.o = "o"
"""


def initramfs(folder, program, package):
    root = f"{folder}/root"
    for part in ["bin", "lib/modules"]:
        os.makedirs(f"{root}/{part}")
    shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
    os.symlink("busybox", f"{root}/bin/sh")
    shutil.copy(program, f"{root}/bin/lfs-pipe")
    for line in subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
    subprocess.run(["dpkg-deb", "-x", package, f"{folder}/kernel"], check=True)
    for module in MODULES:
        [file] = glob.glob(f"{folder}/kernel/lib/modules/*/kernel/drivers/*/{module}.ko")
        shutil.copy(file, f"{root}/lib/modules")
    text = INIT.replace("MODULES", " ".join(MODULES)).replace("STAGES", str(STAGES))
    with open(f"{root}/init", "w") as f:
        f.write(text)
    os.chmod(f"{root}/init", 0o755)
    with open(f"{root}/pipeline.toml", "w") as f:
        f.write("\n".join(MANIFEST.format(k=k) for k in range(1, STAGES + 1)))
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    with open(f"{folder}/initrd", "wb") as f:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=f, check=True)
    [kernel] = glob.glob(f"{folder}/kernel/boot/vmlinuz-*")
    return kernel


class Machine:
    """A running machine, and what it says."""

    def __init__(self, folder, kernel, clock, disk):
        self.process = subprocess.Popen(
            [
                "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768", "-smp", "2", "-nographic",
                "-no-reboot", "-kernel", kernel, "-initrd", f"{folder}/initrd", "-append",
                f"console=ttyS0 quiet panic=-1 disk={disk}", "-drive", f"file={folder}/disk,format=raw,if=virtio,cache=writeback",
                "-rtc", f"base={clock}", "-nic", "none",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        self.lines, self.heard = [], threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            with self.heard:
                self.lines.append(line.rstrip())
                self.heard.notify_all()
        with self.heard:
            self.lines.append("ENDED")
            self.heard.notify_all()

    def wait(self, word, seconds):
        """The first line that begins so; None where the machine ends or is silent for too long."""
        until = time.monotonic() + seconds
        with self.heard:
            while True:
                for line in self.lines:
                    if line.startswith((word, "WRONG", "ENDED")):
                        return line if line.startswith(word) else None
                if not self.heard.wait(until - time.monotonic()) and time.monotonic() >= until:
                    return None

    def cut(self):
        self.process.kill()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--program", default=f"{HERE}/../../target/release/lfs-pipe")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        kernel = initramfs(folder, args.program, args.kernel)
        with open(f"{folder}/disk", "wb") as f:
            f.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", f"{folder}/disk"], check=True)
        inputs = 0
        for n in range(args.rounds):
            year, day, hour = draw.randint(2021, 2035), draw.randint(1, 28), draw.randint(0, 23)
            clock = f"{year}-{draw.randint(1, 12):02}-{day:02}T{hour:02}:00:00"
            machine = Machine(folder, kernel, clock, draw.choice(DISKS))
            # Now and then the cut comes before it has found its feet.
            found = draw.random() < 0.2 and machine.wait("STARTED", 180) or machine.wait("SOUND", 300)
            if found:
                time.sleep(draw.uniform(0, 12))
            said = [line for line in machine.lines if line.startswith(("STARTED", "SOUND", "RAN", "WRONG"))]
            machine.cut()
            inputs += sum(line.startswith("RAN") for line in machine.lines)
            print(f"{n + 1:3}: {'; '.join(said[:2] + said[2:][-1:])}", flush=True)
            if not found or any(line.startswith("WRONG") for line in said):
                print("\n".join(machine.lines[-40:]))
                sys.exit(f"after {n + 1} starts something is wrong")
        print(f"{args.rounds} cuts, {inputs} inputs run between them: every run ended well, every output is right")


main()
