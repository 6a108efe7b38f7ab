# Thin names for the commands of `cargo xtask`; everything works without just, too.

# the default pipeline: every stage and all eight methods on a made world
run *args:
    cargo xtask run -- {{args}}

# every test
test *args:
    cargo xtask test -- {{args}}

# faults at random instants, many times: kills, flipped bits, full disks, runs beside each other
torture rounds="300":
    LFS_TORTURE={{rounds}} cargo xtask test -- torture p1_p2_

# readers under mutated input, so many seconds each
fuzz seconds="600":
    LFS_FUZZ_SECONDS={{seconds}} cargo xtask test -- --test fuzz --no-capture

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

# six verification sets, CASIA-WebFace-R
reproduce-table1 data *args:
    cargo xtask run -- -f pipelines/table1.toml --set data={{data}} {{args}}

# RFW, CASIA-WebFace-R
reproduce-table2 data *args:
    cargo xtask run -- -f pipelines/table2.toml --set data={{data}} {{args}}

# RFW, MS-Celeb-1M-v1c-R
reproduce-table3 data *args:
    cargo xtask run -- -f pipelines/table3.toml --set data={{data}} {{args}}

# MegaFace and Trillion-Pairs, CASIA-WebFace-R
reproduce-table4 data *args:
    cargo xtask run -- -f pipelines/table4.toml --set data={{data}} {{args}}

# MegaFace and Trillion-Pairs, MS-Celeb-1M-v1c-R
reproduce-table5 data *args:
    cargo xtask run -- -f pipelines/table5.toml --set data={{data}} {{args}}

# formatting and lints, as CI asks for them
lint:
    cargo xtask check

# format everything
fmt:
    cargo fmt --all
