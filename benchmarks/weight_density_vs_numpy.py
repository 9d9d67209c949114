"""Seconds and peak memory of a density over checkpoints, against NumPy's sum and np.histogram.

    python -m benchmarks.weight_density_vs_numpy

Half a minute on 2 idle cores: the unembedding of four checkpoints of 70m shape, float16, files
warm in the cache. `benchmarks.weight_density` has all three sides. Ours must run at no less than
45 % of the speed of the sum and twice that of np.histogram; memory beyond a process that has
imported everything must stay below three times the tensor's bytes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks import pairs, setting, weight_density

FLAGS = flags.FLAGS
flags.DEFINE_integer("checkpoints", 4, "files", lower_bound=1)
flags.DEFINE_integer("rows", 50304, "of the tensor", lower_bound=1)
flags.DEFINE_integer("columns", 512, "of the tensor", lower_bound=1)
flags.DEFINE_integer("pairs", 5, "timings of each side", lower_bound=1)

_MEASURE_ONCE = """
import sys
from pathlib import Path
from benchmarks import weight_density
folders = sorted(Path(sys.argv[1]).glob("step*"))
def peak():
    # Not getrusage: its peak is that of the parent, where that was the greater.
    (line,) = (line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    return int(line.split()[1])
base = peak()
weight_density.ours(folders)(0)
print(peak() - base)
"""


def peak_memory(root: Path) -> int:
    """Bytes beyond the base of a process that measures every checkpoint under `root` once.

    The mapped pages of the file count; needs Linux, which counts in KiB.
    """
    command = [sys.executable, "-c", _MEASURE_ONCE, str(root)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return 1024 * int(output.split()[-1])


def compare(folders: list[Path], count: int) -> dict[str, pairs.Pairs]:
    """`count` pairs of passes against each peer."""
    mine = weight_density.ours(folders)
    return {
        "sum": pairs.interleave(mine, weight_density.total(folders), count),
        "np.histogram": pairs.interleave(mine, weight_density.numpy_histogram(folders), count),
    }


def main(_):
    shape = FLAGS.rows, FLAGS.columns
    stored = 2 * FLAGS.rows * FLAGS.columns
    with tempfile.TemporaryDirectory() as folder:
        folders = weight_density.write(Path(folder), FLAGS.checkpoints, shape)
        runs = compare(folders, FLAGS.pairs)
        peak = peak_memory(Path(folder))
    print(setting.machine(("numpy",)))
    print(f"{FLAGS.checkpoints} checkpoints, {shape[0]} x {shape[1]} float16")
    for peer, passes in runs.items():
        mine, theirs = ([t.seconds for t in side] for side in (passes.ours, passes.peer))
        print(f"ours {setting.spread(mine)} s, {peer} {setting.spread(theirs)} s")
        print(
            f"speed over that of {peer}: {setting.spread(passes.ratios())} over"
            f" {len(passes.ours)} pairs"
        )
    rate = FLAGS.checkpoints * stored / np.median([t.seconds for t in runs["sum"].ours])
    print(f"ours at {rate / 1e9:.2f} GB/s")
    print(f"peak memory above the base: {peak / stored:.2f} times the tensor's {stored} bytes")


if __name__ == "__main__":
    app.run(main)
