#!/bin/sh
# lfs-stages @VERSION@, @DIGEST@: finds libtorch @TORCH@ and starts the worker with it.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
fetched=${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/lfs-pipe
for torch in "${LIBTORCH:-}" "$here"/../lib/python3*/site-packages/torch "$fetched/.libtorch-cuda/torch" "$fetched/.libtorch/torch"; do
    version=$(cat "$torch/build-version" 2>/dev/null || sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py" 2>/dev/null || true)
    if [ "${version%%+*}" = "@TORCH@" ]; then
        LD_LIBRARY_PATH=$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        export LD_LIBRARY_PATH
        exec "$here/../libexec/lfs-pipe/lfs-stages" "$@"
    fi
done
echo "libtorch @TORCH@ was not found: run lfs-libtorch once, install torch==@TORCH@ beside lfs-pipe, or export LIBTORCH=FOLDER" >&2
exit 2
