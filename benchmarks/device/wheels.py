"""Which wheels of a folder this Python lacks: `python -m benchmarks.device.wheels FOLDER` prints
their paths.

Only these are put on its path, so that nothing that the machine has is replaced.
"""

import importlib.metadata
import sys
from pathlib import Path

from dynamics.errors import InputError


def lacking(folder: Path) -> list[Path]:
    """The wheels of packages that are not installed, in any version.

    Raises:
        InputError: a folder without wheels.
    """
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise InputError(
            f"{folder}, which holds no wheels",
            expected="the folder that launch/device_wheels.sh made",
        )
    return [wheel for wheel in wheels if not installed(wheel.name.partition("-")[0])]


def installed(package: str) -> bool:
    """Whether the machine has it."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    try:
        print(*lacking(Path(sys.argv[1])), sep="\n")
    except InputError as error:
        sys.exit(f"error: {error}")
