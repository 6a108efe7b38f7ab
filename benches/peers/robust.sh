#!/usr/bin/env bash
# Ten mishaps, each in a small project of its own, for every runner that is there: what comes of it?
#   robust.sh [TOOL...]    lfs-pipe, ninja, snakemake, redun, dvc; prints one line a case and tool
# Programs are looked for as in measure.py: $LFS_PIPE, $PEERS.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=$(realpath -m "${PEERS:-peers}")
ours=$(realpath "${LFS_PIPE:-$here/../../target/release/lfs-pipe}")
tools=("$@")
[[ ${#tools[@]} -gt 0 ]] || tools=(lfs-pipe ninja snakemake redun dvc)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DVC_NO_ANALYTICS=1 NO_COLOR=1

# A project with one stage that reads in.txt and writes out.txt; $1 tool, $2 command.
project() {
    echo v1 > in.txt
    case $1 in
        lfs-pipe)
            # The command runs in a folder of its own and is given its paths.
            local run=${2//in.txt/\$IN_a}; run=${run//out.txt/\$OUT_o}
            run=${run//ran.log/$PWD\/ran.log}; run=${run//side.txt/$PWD\/side.txt}
            printf '[pipeline]\nout = "results"\n[stage.a]\nkind = "command"\nrun = """%s"""\ninput.a = { path = "in.txt" }\noutput.o = "out.txt"\n' "$run" > pipeline.toml
            ;;
        ninja) printf 'rule r\n  command = %s\nbuild out.txt: r in.txt\n' "${2//\$/\$\$}" > build.ninja ;;
        snakemake) printf 'rule a:\n    input: "in.txt"\n    output: "out.txt"\n    shell: """%s"""\n' "$2" > Snakefile ;;
        redun)
            mkdir -p .redun
            printf 'import subprocess\nfrom redun import task, File\nredun_namespace = "b"\n@task()\ndef a(f: File, c: str) -> File:\n    subprocess.check_call(["sh", "-c", c])\n    return File("out.txt")\n@task()\ndef main() -> File:\n    return a(File("in.txt"), """%s""")\n' "$2" > workflow.py
            ;;
        dvc)
            "$peers/dvc/bin/dvc" init --no-scm -q
            "$peers/dvc/bin/dvc" config core.analytics false
            printf 'stages:\n  a:\n    cmd: "%s"\n    deps: [in.txt]\n    outs: [out.txt]\n' "$2" > dvc.yaml
            ;;
    esac
}

run() {
    case $1 in
        lfs-pipe) "$ours" run -q ;;
        ninja) ninja ;;
        snakemake) "$peers/snakemake/bin/snakemake" --cores 2 --quiet all -- out.txt ;;
        redun) "$peers/redun/bin/redun" run workflow.py main ;;
        dvc) "$peers/dvc/bin/dvc" repro ;;
    esac
}

# Where the output lies.
out() { if [[ $1 == lfs-pipe ]]; then echo results/a/out.txt; else echo out.txt; fi; }
text() { cat "$(out "$1")" 2>/dev/null; }
ran() { wc -l < ran.log 2>/dev/null || echo 0; }
wait_for() { for _ in $(seq 200); do [[ -e $1 ]] && return; sleep 0.05; done; }
says() { printf '%-3s %-10s %s\n' "$1" "$2" "$3"; }
is() { if [[ $1 == "$2" ]]; then echo "right"; else echo "WRONG: $1"; fi; }

for tool in "${tools[@]}"; do
    case_() { mkdir -p "$work/$1/$tool"; cd "$work/$1/$tool"; project "$tool" "$2"; }

    case_ 1 "cat in.txt > out.txt; echo x >> ran.log; sleep 2"
    run "$tool" > log 2>&1 & wait_for ran.log; sleep 0.3; echo v2 > in.txt; wait
    run "$tool" > log2 2>&1
    says 1 "$tool" "$(is "$(text "$tool")" v2)"

    case_ 2 "echo part > out.txt; echo x >> ran.log; sleep 3; echo full > out.txt"
    setsid bash -c "$(declare -f run); ours='$ours'; peers='$peers'; run $tool" > log 2>&1 & pid=$!
    wait_for ran.log; sleep 0.2; kill -9 -- "-$pid"; wait 2>/dev/null
    run "$tool" > log2 2>&1
    says 2 "$tool" "$(is "$(text "$tool")" full)"

    case_ 3 "cat in.txt > out.txt; echo x >> ran.log"
    run "$tool" > log 2>&1
    case $tool in
        lfs-pipe) object=$(find cache/objects -type f | head -n 1) ;;
        dvc) object=$(find .dvc/cache/files -type f | head -n 1) ;;
        *) object="" ;;
    esac
    if [[ -n $object ]]; then
        chmod u+w "$object"; echo corrupt > "$object"; rm -f "$(out "$tool")"
        run "$tool" > log2 2>&1
        says 3 "$tool" "$(is "$(text "$tool")" v1)"
    else
        says 3 "$tool" "keeps no results"
    fi

    case_ 4 "sleep 1; cat in.txt > out.txt; echo x >> ran.log"
    run "$tool" > l1 2>&1 & a=$!; run "$tool" > l2 2>&1 & b=$!
    wait $a; ra=$?; wait $b; rb=$?
    says 4 "$tool" "$(is "exit codes $ra $rb, ran $(ran)" "exit codes 0 0, ran 1")"

    case_ 5 "cat in.txt side.txt > out.txt"
    echo s1 > side.txt
    [[ $tool == lfs-pipe ]] && echo 'strict = true' >> pipeline.toml
    run "$tool" > log 2>&1; first=$?; echo s2 > side.txt; run "$tool" > log2 2>&1
    if [[ $first != 0 ]] && grep -q "not declared" log; then says 5 "$tool" "right: refused, and named"
    else says 5 "$tool" "$(is "$(text "$tool" | tail -n 1)" s2)"; fi

    case_ 6 "cat in.txt > out.txt"
    run "$tool" > log 2>&1; project "$tool" "cat in.txt in.txt > out.txt" > /dev/null 2>&1; run "$tool" > log2 2>&1
    says 6 "$tool" "$(is "$(text "$tool" | wc -l) lines" "2 lines")"

    case_ 7 "true in.txt"
    run "$tool" > log 2>&1; code=$?
    says 7 "$tool" "$(is "$([[ $code != 0 ]] && echo refused || echo accepted)" refused)"

    case_ 8 "cat in.txt > out.txt; echo x >> ran.log"
    run "$tool" > log 2>&1; sleep 1.1; chmod u+w "$(out "$tool")"; echo tampered > "$(out "$tool")"; run "$tool" > log2 2>&1
    says 8 "$tool" "$(is "$(text "$tool")" v1)"

    mkdir -p "$work/9/$tool"
    said=$(unshare -rm bash -c "$(declare -f project run text out); ours='$ours'; peers='$peers'
        mount -t tmpfs -o size=4m none '$work/9/$tool' && cd '$work/9/$tool' && project $tool 'head -c 700000 /dev/zero > out.txt'
        head -c 4m /dev/zero > filler 2>/dev/null; truncate -s -300k filler; run $tool > log 2>&1; echo \"code \$?\"
        rm filler; run $tool > log2 2>&1; echo \"code \$?, \$(text $tool | wc -c) bytes\"" 2>&1 | tail -n 2 | tr '\n' ';')
    says 9 "$tool" "$said"

    case_ 10 "sleep 2; cat in.txt > out.txt; echo x >> ran.log"
    run "$tool" > log 2>&1 & sleep 1.2; echo v2 > in.txt; wait; echo v1 > in.txt; run "$tool" > log2 2>&1
    says 10 "$tool" "$(is "$(text "$tool")" v1)"
done
