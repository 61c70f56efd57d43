#!/usr/bin/env bash
# Runs the example from end to end with an agent of its own: private state, one declared device, a webhook receiver.
# Programs are taken from .build/debug, or from the directory in POSTLUDE_BIN.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
bin=${POSTLUDE_BIN:-$root/.build/debug}
python=/usr/bin/python3

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
if [[ ! -t 1 ]]; then say() { printf '\n%s\n' "$*"; }; fi

if [[ ! -x $bin/postlude ]]; then
    echo "run: $bin/postlude is missing; hint: make run" >&2
    exit 1
fi

# The state is kept, so that the artifacts can be looked at; it is a few hundred kilobytes.
state=$(mktemp -d "${TMPDIR:-/tmp}/postlude-digits.XXXXXX")
receiver=
cleanup() {
    if [[ -n $receiver ]]; then
        kill "$receiver" 2> /dev/null || true
        wait "$receiver" 2> /dev/null || true
    fi
    rm -f "$state/address"
}
trap cleanup EXIT

# Any character device that this user may open and that no sandbox has anyway can play the accelerator.
device=
for node in /dev/fuse /dev/net/tun /dev/loop-control /dev/hwrng /dev/kmsg; do
    if [[ -c $node && ! -L $node ]] && (: <> "$node") 2> /dev/null; then
        device=$node
        break
    fi
done
if [[ -z $device ]]; then
    echo "run: found no character device that this user may open, to lease it as an accelerator" >&2
    exit 1
fi

cat > "$state/postlude.yaml" << YAML
stateDirectory: $state/state
socket: $state/agent.sock
profilesDirectory: $root/profiles
hubDirectory: $root/profiles/hub
idleExitSeconds: 5
devices:
  - id: accelerator0
    class: example.com/accelerator
    nodes: [$device]
    environment: {EXAMPLE_ACCELERATOR: $device}
YAML

mkfifo "$state/address"
"$python" "$here/receiver.py" "$state/received.jsonl" > "$state/address" &
receiver=$!
read -r url < "$state/address"

postlude() { "$bin/postlude" "$@" --config "$state/postlude.yaml"; }

say "postlude run Examples/digits/digits.yaml -P url=$url   (accelerator: $device)"
cd "$here"
status=0
postlude run digits.yaml -P "url=$url" || status=$?

say "What the webhook receiver got"
if [[ -s $state/received.jsonl ]]; then
    while IFS= read -r line; do "$python" -m json.tool <<< "$line"; done < "$state/received.jsonl"
else
    echo "nothing"
fi

say "The confusion matrix"
find "$state/state/runs" -name confusion.svg 2> /dev/null | grep . || echo "was not drawn"

run=$(postlude ps --all --json | "$python" -c 'import json, sys
print(next((run["id"] for run in json.load(sys.stdin)["runs"] if not run.get("upstream")), ""))')
if [[ -z $run ]]; then exit "$((status ? status : 1))"; fi
say "postlude inspect ${run:0:8}"
postlude inspect "$run"

say "postlude report ${run:0:8}"
postlude report "$run"

say "Kept in $state"
exit "$status"
