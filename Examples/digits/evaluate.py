"""Hook: draws main's confusion matrix as SVG. Main's artifacts are read-only here, and its device is not here at all."""

import argparse
import csv
import os
import pathlib
import sys

CELL = 34
LEFT, TOP = 60, 70


def matrix(path: pathlib.Path):
    counts = [[0] * 10 for _ in range(10)]
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            counts[int(row["digit"])][int(row["predicted"])] += 1
    return counts


def drawing(counts, title: str) -> str:
    size = CELL * 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + size + 20}" height="{TOP + size + 40}"'
        ' font-family="sans-serif" font-size="13" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT + size / 2}" y="24" font-size="15">{title}</text>',
        f'<text x="{LEFT + size / 2}" y="{TOP + size + 28}">predicted</text>',
        f'<text x="18" y="{TOP + size / 2}" transform="rotate(-90 18 {TOP + size / 2})">digit</text>',
    ]
    for digit, row in enumerate(counts):
        y = TOP + digit * CELL
        lines.append(f'<text x="{LEFT - 14}" y="{y + CELL / 2 + 5}">{digit}</text>')
        lines.append(f'<text x="{LEFT + digit * CELL + CELL / 2}" y="{TOP - 10}">{digit}</text>')
        for predicted, count in enumerate(row):
            x = LEFT + predicted * CELL
            share = count / max(1, sum(row))
            hue = 145 if digit == predicted else 10
            lightness = 97 - 50 * (share if digit == predicted else min(1.0, share * 8))
            fill = f"hsl({hue},60%,{lightness:.0f}%)"
            lines.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="#ddd"/>')
            if count:
                lines.append(f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 5}">{count}</text>')
    return "\n".join(lines + ["</svg>", ""])


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--accuracy", type=float, required=True)
    arguments.add_argument("--device", default="")
    arguments.add_argument("--target", type=pathlib.Path, required=True)
    options = arguments.parse_args()

    source = pathlib.Path(os.environ["POSTLUDE_MAIN_ARTIFACTS"])
    counts = matrix(source / "predictions.csv")
    right = sum(counts[digit][digit] for digit in range(10))
    total = sum(map(sum, counts))
    picture = options.target / "confusion.svg"
    picture.write_text(drawing(counts, f"{right} of {total} digits right ({options.accuracy:.2%})"))
    print(f"{picture.name}: {right} of {total} right")

    worst = max((counts[a][b], a, b) for a in range(10) for b in range(10) if a != b)
    print(f"most often mistaken: {worst[1]} for {worst[2]}, {worst[0]} times")

    # What a hook may not do, tried.
    try:
        (source / "tampered").touch()
        print("main's artifacts are writable here", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"writing to main's artifacts: {error.strerror}")
    if options.device:
        try:
            os.close(os.open(options.device, os.O_RDWR | os.O_CLOEXEC))
            print(f"main's device {options.device} opens here", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"opening main's device {options.device}: {error.strerror}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
