#!/usr/bin/env bash
# Prints the benchmark tables: on this host, then, where this host's cgroups are not pure v2, the launch table once more in
# the guest that has them (emulated, so its milliseconds mean little; its ratios are what counts).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
bench=(.build/release/postlude-bench --programs "$root/.build/release" --profiles "$root/profiles")

"${bench[@]}" "$@" &
pid=$!
wait "$pid"
# The benchmark itself stands in one of the cgroups that it made until it ends.
find /sys/fs/cgroup -depth -type d \( -path "*/postlude-bench-$pid/*" -o -name "postlude-bench-$pid" \) -exec rmdir {} \;
if [[ ! -e /sys/fs/cgroup/cgroup.controllers && $(uname -m) == x86_64 ]]; then
    .ci/packages guest
    echo "In the guest:"
    echo
    Tests/guest/run.sh --products .build/release --program bwrap --program crun "${bench[@]}" --rounds 50 launch
fi
