"""One weight file of any format as named tensors."""

from typing import Protocol

import numpy as np
from jaxtyping import Shaped

from dynamics.checkpoints.formats.byte_source import ByteSource
from dynamics.checkpoints.formats.detect import buffered, is_torch
from dynamics.checkpoints.formats.safetensors_file import SafetensorsFile
from dynamics.checkpoints.formats.torch_file import TorchFile

# Kinds of dtype (numpy's `dtype.kind`) that no weights have; bfloat16 and float8 are of kind V.
INTEGERS = "biu"


class TensorFile(Protocol):
    """Named tensors, read one at a time; an unknown name raises InputError."""

    def names(self) -> set[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def dtype(self, name: str) -> np.dtype: ...

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, bfloat16 included (ml_dtypes); it may be read-only."""
        ...


def open_tensors(source: ByteSource) -> TensorFile:
    """The tensors of one weight file, whose format is known from its first bytes.

    Raises InputError for a damaged file, a foreign one, and one that asks for more than tensors.

    Example:
        >>> import tempfile, safetensors.numpy
        >>> from pathlib import Path
        >>> from dynamics.checkpoints.formats import LocalBytes
        >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> safetensors.numpy.save_file({"bias": np.arange(3.0)}, path)
        >>> file = open_tensors(LocalBytes(path))
        >>> file.names(), file.shape("bias"), file.read("bias").tolist()
        ({'bias'}, (3,), [0.0, 1.0, 2.0])
    """
    source = buffered(source)
    return TorchFile(source) if is_torch(source) else SafetensorsFile(source)
