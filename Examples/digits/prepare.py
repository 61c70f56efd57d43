"""Init step: checks the bundled data set against its known hash, unpacks it, and splits it into train and test."""

import argparse
import csv
import gzip
import hashlib
import io
import pathlib
import random
import sys

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
ROWS = 1797
PIXELS = 64


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", type=pathlib.Path, required=True)
    arguments.add_argument("--target", type=pathlib.Path, required=True)
    arguments.add_argument("--test-share", type=float, default=0.25)
    arguments.add_argument("--seed", type=int, default=1998)
    options = arguments.parse_args()

    packed = options.source.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        print(f"{options.source}: sha256 is {found}, expected {SHA256}", file=sys.stderr)
        return 1
    print(f"{options.source.name}: {len(packed)} bytes, sha256 as expected")

    rows = [[int(field) for field in row] for row in csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))]
    if len(rows) != ROWS or any(len(row) != PIXELS + 1 for row in rows):
        print(f"expected {ROWS} rows of {PIXELS} pixels and a label", file=sys.stderr)
        return 1

    # The same share of every digit goes to the test set, so that no digit is missing from it.
    shuffle = random.Random(options.seed)
    train, test = [], []
    for digit in range(10):
        images = [row for row in rows if row[-1] == digit]
        shuffle.shuffle(images)
        held_out = round(len(images) * options.test_share)
        test += images[:held_out]
        train += images[held_out:]
    shuffle.shuffle(train)

    options.target.mkdir(parents=True, exist_ok=True)
    for name, part in (("train.csv", train), ("test.csv", test)):
        with open(options.target / name, "w", newline="") as file:
            csv.writer(file).writerows(part)
        print(f"{name}: {len(part)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
