"""Generate one part of many samples: a job of an array, or a machine of a cluster, makes each.

    python sample_part.py RUN 100000 --part 3 --parts 16 --out samples

Sample i is a function of (seed, i).  Parts begin at multiples of the batch size and are computed by one CPU thread, so
that all parts together are the same samples, to the last bit, for any number of parts on machines of one kind.  A part
that is there already is not generated again.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

import ptdiff


def main() -> None:
    """Generate the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder or model name")
    parser.add_argument("samples", type=int, help="number of samples of all parts together")
    parser.add_argument("--part", type=int, required=True, help="number of this part, from 0")
    parser.add_argument("--parts", type=int, required=True, help="number of parts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts")
    parser.add_argument("--batch", type=int, default=128, help="samples at a time")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not 0 <= given.part < given.parts:
        parser.error(f"--part {given.part}: must be 0 to {given.parts - 1}")

    torch.set_num_threads(1)
    batches = math.ceil(given.samples / given.batch)
    first, stop = (min(given.samples, batches * p // given.parts * given.batch) for p in (given.part, given.part + 1))
    target = given.out / f"part-{given.part:05d}-of-{given.parts:05d}.npz"
    if first == stop or target.is_file():
        print(f"{target}: nothing to do")
        return
    given.out.mkdir(parents=True, exist_ok=True)
    model = ptdiff.load(given.run)
    model.sample(stop - first, first=first, seed=given.seed, batch=given.batch).save(target)
    print(f"{target}: samples {first} to {stop - 1}")


if __name__ == "__main__":
    main()
