"""Sidecar: follows the loss history while main trains, and sums it up when it is told to end."""

import json
import pathlib
import signal
import sys
import threading


def main() -> int:
    history = pathlib.Path(sys.argv[1])
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())

    losses = []
    position = 0
    last = False
    while True:
        # Asked to end: one more look, for what main wrote last.
        last = ended.is_set()
        if history.exists():
            with open(history) as file:
                file.seek(position)
                for line in iter(file.readline, ""):
                    if not line.endswith("\n"):
                        break
                    position = file.tell()
                    entry = json.loads(line)
                    change = f" ({entry['loss'] - losses[-1]:+.4f})" if losses else ""
                    losses.append(entry["loss"])
                    print(f"epoch {entry['epoch']}: loss {entry['loss']:.4f}{change}", flush=True)
        if last:
            break
        ended.wait(0.1)

    if losses:
        print(f"watched {len(losses)} epochs: loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)
    else:
        print("main wrote no loss history", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
