"""Peak memory on the device, of JAX and of torch."""

import sys

import jax


class Peaks:
    """Peaks from here on."""

    def __init__(self):
        self._before = peak()
        if torch := _torch_on_gpu():
            torch.cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, int | None]:
        """{"ours", "peer"}: bytes, or None where they are not known.

        JAX's peak cannot be reset: one that an earlier part of the process surpassed is not known.
        On a CPU neither is.
        """
        now, torch = peak(), _torch_on_gpu()
        return {
            "ours": now if now is not None and now > (self._before or 0) else None,
            "peer": torch.cuda.max_memory_allocated() if torch else None,
        }


def peak() -> int | None:
    """Bytes that JAX has held at most in this process; None on a CPU."""
    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _torch_on_gpu():
    """torch, where a side has imported it and it has a GPU."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None
