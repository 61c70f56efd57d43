#!/usr/bin/env bash
# Fuzzes what reads untrusted bytes: the plan decoder of the warden (plan), the YAML front end (spec), templates and
# expressions (expression), and the reader and compiler of seccomp profiles (seccomp).
#
#   Tests/fuzz/run.sh [options] [TARGET...]
#
#   --seconds N    how long each target runs (default 5)
#   --seed N       where libFuzzer's random numbers start (default 1; 0 for a new place each time)
#   --keep         afterwards, put what was found into the kept corpus, minimised, if it still is small
#   --replay FILE  run the target on one input, such as one that a failed run has named
#   --build-only   build, and no more
#
# A crash, a broken promise, more than 1 s of processor time for one input or more than 1 GiB of memory fails; the input
# is kept in .build/fuzz/found/ and named.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
scratch=$root/.build/fuzz
seconds=5
seed=1
keep=
replay=
build_only=
targets=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --keep) keep=1; shift ;;
        --replay) replay=$(realpath "$2"); shift 2 ;;
        --build-only) build_only=1; shift ;;
        -*) echo "fuzz: unknown option $1" >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done
if [[ ${#targets[@]} -eq 0 ]]; then targets=(plan spec expression seccomp); fi

fuzzer=$scratch/release/postlude-fuzz
if [[ -z ${POSTLUDE_FUZZ_PREBUILT:-} ]]; then
    cd "$root"
    # A build of its own: every module is compiled with libFuzzer's counters.
    POSTLUDE_FUZZ=1 "${SWIFT:-swift}" build -c release --sanitize fuzzer -Xswiftc -enable-testing \
        --scratch-path "$scratch" --product postlude-fuzz
fi
if [[ -n $build_only ]]; then exit 0; fi

# libFuzzer writes the input and the stack; the runtime's own report would come first and take its time.
export SWIFT_BACKTRACE=enable=no
export POSTLUDE_FUZZ_TARGET
options=(-rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=60 -max_len=16384 -print_final_stats=1)

if [[ -n $replay ]]; then
    POSTLUDE_FUZZ_TARGET=${targets[0]}
    exec "$fuzzer" "${options[@]}" "$replay"
fi

mkdir -p "$scratch/found"
status=0
for target in "${targets[@]}"; do
    POSTLUDE_FUZZ_TARGET=$target
    work=$scratch/corpus/$target
    mkdir -p "$work"
    log=$scratch/$target.log
    arguments=("${options[@]}" -seed="$seed" -max_total_time="$seconds" -artifact_prefix="$scratch/found/$target-")
    if [[ -f $here/dictionaries/$target.dict ]]; then arguments+=(-dict="$here/dictionaries/$target.dict"); fi
    failed=0
    "$fuzzer" "${arguments[@]}" "$work" "$here/corpus/$target" > "$log" 2>&1 || failed=$?
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [[ $failed -ne 0 ]]; then
        status=1
        grep -E 'broken promise|ERROR: libFuzzer|Fatal error|Test unit written' "$log" >&2 || tail -n 20 "$log" >&2
        echo "fuzz: $target failed after ${executed:-?} inputs; hint: Tests/fuzz/run.sh --replay FILE $target" >&2
        continue
    fi
    echo "fuzz: $target: ${executed:-0} inputs in $seconds s, no crash"
    if [[ -n $keep ]]; then
        merged=$(mktemp -d "$scratch/merged.XXXXXX")
        "$fuzzer" "${options[@]}" -merge=1 "$merged" "$here/corpus/$target" "$work" >> "$log" 2>&1
        # Some four hundred of all sizes, the small ones first, up to 400 kB for each target.
        rm -rf "${here:?}/corpus/$target"
        mkdir -p "$here/corpus/$target"
        total=0
        while read -r size name; do
            total=$((total + size))
            if [[ $total -gt 400000 ]]; then break; fi
            cp "$merged/$name" "$here/corpus/$target/$name"
        done < <(find "$merged" -type f -printf '%s %f\n' | sort -n \
            | awk '{ line[NR] = $0 } END { step = NR > 400 ? NR / 400 : 1; for (i = 1; i <= NR; i += step) print line[int(i)] }')
        rm -rf "$merged"
        echo "fuzz: $target: $(find "$here/corpus/$target" -type f | wc -l) inputs kept"
    fi
done
exit "$status"
