"""The names that a state dict's pickle may call, each as a plain record of what it asks for.

Nothing here imports or calls torch: `CALLS` maps the name that a pickle gives to a function that
checks the arguments and describes a tensor. Any other name is refused by the reader of the pickle.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from dynamics.errors import InputError

STORAGES = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
    "torch.storage UntypedStorage": np.dtype("u1"),
}
# torch has no typed storage for these: it saves bytes, and the dtype beside them.
DTYPES = {
    "torch uint16": np.dtype("<u2"),
    "torch uint32": np.dtype("<u4"),
    "torch uint64": np.dtype("<u8"),
    "torch float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "torch float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}


class Name(NamedTuple):
    """A global that the pickle names: "module name"."""

    path: str


class Storage(NamedTuple):
    """A run of numbers in the archive."""

    key: str  # its entry is data/KEY
    dtype: np.dtype
    numel: int


class TensorRef(NamedTuple):
    """A strided view of a storage. Offset and strides count elements, and are not checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _ordered_dict(arguments: tuple) -> dict:
    if arguments:
        raise broken("an OrderedDict made of something")
    return {}


def _tensor(arguments: tuple) -> TensorRef:
    """Arguments: storage, offset, shape, stride; then requires_grad and hooks, ignored here."""
    if len(arguments) > 6:
        # A seventh marks a view whose numbers are negated or conjugated when they are read.
        raise broken("a tensor with metadata (a negated or conjugated view)")
    match arguments[:4]:
        case (Storage() as storage, offset, tuple(shape), tuple(stride)) if _is_view(
            offset, shape, stride
        ):
            return TensorRef(storage, offset, shape, stride)
    raise broken("a tensor is not described as torch does")


def _tensor_of_bytes(arguments: tuple) -> TensorRef:
    match arguments:
        case (Storage() as storage, _, _, _, _, _, Name(path=path)) if (
            path in DTYPES and storage.dtype == np.uint8
        ):
            dtype = DTYPES[path]
            if storage.numel % dtype.itemsize == 0:
                typed = Storage(storage.key, dtype, storage.numel // dtype.itemsize)
                return _tensor((typed, *arguments[1:6]))
    raise broken("a tensor is not described as torch does")


def _parameter(arguments: tuple) -> TensorRef:
    match arguments:
        case (TensorRef() as tensor, _, _):
            return tensor
    raise broken("a parameter is not described as torch does")


def is_size(value: Any) -> bool:
    """Is the value a number of elements or bytes that a file can have?"""
    return type(value) is int and 0 <= value < 1 << 62  # type(), since True is an int to isinstance


def _is_view(offset: Any, shape: tuple, stride: tuple) -> bool:
    numbers = (offset, *shape, *stride)
    return len(shape) == len(stride) <= 32 and all(
        type(n) is int and abs(n) < 1 << 62 for n in numbers
    )


def broken(why: str) -> InputError:
    """The error for a pickle that torch.save would not write."""
    return InputError(
        f"a pickle in which {why}", expected="what torch.save writes for a state dict"
    )


CALLS: dict[str, Callable[[tuple], Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_of_bytes,
    "torch._utils _rebuild_parameter": _parameter,
}
