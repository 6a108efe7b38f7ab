#!/usr/bin/env bash
# Installs what measure.py compares with, under $PEERS (default: ./peers). ninja and make are the system's.
set -euo pipefail
peers=$(realpath -m "${PEERS:-peers}")
mkdir -p "$peers"
for tool in snakemake==9.27.1 dvc==3.67.1 redun==0.44.1; do
    python3 -m venv "$peers/${tool%%=*}"
    "$peers/${tool%%=*}/bin/pip" -q install "$tool"
done
cargo install -q b3sum --root "$peers"
