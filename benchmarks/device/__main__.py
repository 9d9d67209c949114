"""Every check of the project on an accelerator, in at most eight minutes: start it by
`launch/device_checks.sh`, which finds the packages.

    python -m benchmarks.device --out=results/device_checks.json
    python -m benchmarks.device --dry

Prints a line for each part, and writes it to the file of results as it ends. Ends with 1 where
there is no accelerator, or where a part went wrong; a peer that is not installed is no fault.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

from absl import app, flags

from benchmarks.device import driver, lines
from dynamics.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_bool("dry", False, "the same at toy size, on the CPU")
flags.DEFINE_string("out", "results/device_checks.json", "the file of results, written anew")
flags.DEFINE_list("only", [], "parts, by name, after `versions`; without it all")
flags.DEFINE_float("seconds", 465, "for all parts together", lower_bound=1)


# Two devices, and programs compiled in half the time: nobody reads their speed.
_DRY_XLA = (
    "--xla_force_host_platform_device_count=2",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)


def environment(dry: bool) -> dict[str, str]:
    """Of the parts' processes: no network, memory of a GPU taken as it is needed, and at toy size
    two CPU devices of a thread each."""
    settings = {
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        # JAX would take most of the memory beforehand, which torch needs on the same GPU.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if dry:
        settings["JAX_PLATFORMS"] = "cpu"
        settings["XLA_FLAGS"] = " ".join(_DRY_XLA)
        settings["CUDA_VISIBLE_DEVICES"] = ""
        settings["OMP_NUM_THREADS"] = "1"  # torch's threads wait by spinning
    return {**os.environ, **settings}


def main(_):
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        checks = driver.Checks(
            "benchmarks.device.parts",
            "dry" if FLAGS.dry else "full",
            Path(FLAGS.out).absolute(),
            FLAGS.seconds,
            environment(FLAGS.dry),
            ["versions", *FLAGS.only] if FLAGS.only else [],
        )
    except ModuleNotFoundError as error:
        sys.exit(f"error: got a Python without {error.name}; expected it there or in --wheels")
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: got --out={FLAGS.out}, which cannot be written ({error.strerror})")
    wrong = []
    with contextlib.closing(checks.run()) as running:
        for line in running:
            print(line.sentence(), flush=True)
            if line.state not in lines.GREEN:
                wrong.append(line.part)
            if line.part == "versions" and not FLAGS.dry and line.numbers.get("platform") == "cpu":
                sys.exit(
                    "error: no GPU: JAX finds only a CPU here. On a CPU, --dry runs the same at toy"
                    " size."
                )
    print(f"results: {checks.path}")
    if wrong:
        sys.exit(f"error: {len(wrong)} of {len(checks.parts)} parts went wrong: {', '.join(wrong)}")


if __name__ == "__main__":
    app.run(main)
