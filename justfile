# Thin names for the commands of `cargo xtask`; everything works without just, too.

# the default pipeline: every stage and all eight methods on a made world
run *args:
    cargo xtask run -- {{args}}

# every test
test *args:
    cargo xtask test -- {{args}}

# whether emulated processors of other makers give the same bytes as this one; needs qemu-user
portable:
    cargo xtask portable

# faults at random instants, many times: kills, flipped bits, full disks, runs beside each other
torture rounds="300":
    LFS_TORTURE={{rounds}} cargo xtask test -- torture p1_p2_

# readers under mutated input, so many seconds each
fuzz seconds="600":
    LFS_FUZZ_SECONDS={{seconds}} cargo xtask test -- -E 'binary(fuzz) | test(fuzz)' --no-capture

# a machine whose power is cut while pipelines run, and whose clock is set; needs a kernel package of Debian
power-cut kernel *args:
    benches/power/cut.py --kernel {{kernel}} {{args}}

# lfs-pipe beside other runners; benches/peers/setup.sh installs them
peers workload="layers" *args:
    benches/peers/measure.py {{workload}} {{args}}

# start, no-op run, hashing, alignment
bench:
    cargo xtask bench

# real photographs: LFW for training, CFP for testing, below one folder
cfp data *args:
    cargo xtask run -- -f pipelines/cfp.toml --set data={{data}} {{args}}

# A folder that you name is yours: relative to where you stand. Without one the table is rehearsed on drawn faces.

# six verification sets, CASIA-WebFace-R: [DIR] [what `lfs-pipe run` takes]; without a folder: a rehearsal on drawn faces
[positional-arguments]
reproduce-table1 *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} table1 "$@"

# RFW, CASIA-WebFace-R: [DIR] [what `lfs-pipe run` takes]; without a folder: a rehearsal on drawn faces
[positional-arguments]
reproduce-table2 *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} table2 "$@"

# RFW, MS-Celeb-1M-v1c-R: [DIR] [what `lfs-pipe run` takes]; without a folder: a rehearsal on drawn faces
[positional-arguments]
reproduce-table3 *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} table3 "$@"

# MegaFace and Trillion-Pairs, CASIA-WebFace-R: [DIR] [what `lfs-pipe run` takes]; without a folder: a rehearsal on drawn faces
[positional-arguments]
reproduce-table4 *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} table4 "$@"

# MegaFace and Trillion-Pairs, MS-Celeb-1M-v1c-R: [DIR] [what `lfs-pipe run` takes]; without a folder: a rehearsal on drawn faces
[positional-arguments]
reproduce-table5 *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} table5 "$@"

# L5 with a constant a: [DIR] [what `lfs-pipe run` takes]; a folder is needed
[positional-arguments]
reproduce-ablation-a *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} ablation-a "$@"

# how many candidates a search trains: [DIR] [what `lfs-pipe run` takes]; a folder is needed
[positional-arguments]
reproduce-ablation-b *args:
    @cargo xtask reproduce --from {{quote(invocation_directory())}} ablation-b "$@"

# formatting and lints, as CI asks for them
lint:
    cargo xtask check

# format everything
fmt:
    cargo fmt --all
