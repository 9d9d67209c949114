"""What a state dict's pickle says, read as data by a stack machine that can build tensor references
and nothing else.

A pickle is a program. This machine knows the operations that torch.save emits for a state dict, and
of the names that they call only those below, each of which here is a record of what was asked. No
name is looked up, imported or called; an operation or a name beyond these is refused. The
operations are those of the standard library's pickletools.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from dynamics.errors import InputError

MOST_BYTES = 1 << 26
_MOST_STEPS, _MOST_DEPTH = (
    200_000,
    20_000,
)  # about 45 steps a tensor; 2000 stack items a dict of 1000 at a time
_STATE_DICT = (
    "Only state dicts are read; in torch, save it again as torch.save(model.state_dict(), path)."
)
_OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
_DICT = "collections OrderedDict"
_STORAGES = {
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
# What torch has no typed storage for: bytes, and the dtype beside them.
_DTYPES = {
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
    key: str  # entry data/KEY of the archive
    dtype: np.dtype
    numel: int


class TensorRef(NamedTuple):
    """A strided view of a storage; offset and strides are in elements, as the pickle has them
    (unchecked)."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Mark:
    pass


def state_dict(pickle: bytes) -> dict[str, TensorRef]:
    """Tensor name -> where it lies. Raises InputError for a pickle of anything else, and for one
    that asks for more."""
    if len(pickle) > MOST_BYTES:
        raise InputError(
            f"a pickle of {len(pickle)} bytes", expected=f"at most {MOST_BYTES} for a state dict"
        )
    found = _Machine(pickle).run()
    if not isinstance(found, dict):
        raise InputError(
            f"a pickled {type(found).__name__}", expected="a state dict", mend=_STATE_DICT
        )
    for name, value in found.items():
        if not isinstance(value, TensorRef):
            kind = "nested dict" if isinstance(value, dict) else type(value).__name__
            raise InputError(
                f"the entry {name[:80]!r}, a {kind}", expected="tensors alone", mend=_STATE_DICT
            )
    return found


class _Machine:
    """One run over one pickle. Memory is bounded by the steps: no step makes more than it reads."""

    def __init__(self, pickle: bytes):
        self._stream = io.BytesIO(pickle)
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(_MOST_STEPS):
            name, argument = self._next()
            if name == "STOP":
                return self._only()
            try:
                _STEPS[name](self, argument)
            except (IndexError, KeyError) as error:
                raise _broken(f"{name} asks for what is not there") from error
            if len(self._stack) > _MOST_DEPTH:
                raise _broken(f"it stacks more than {_MOST_DEPTH} values")
        raise _broken(f"it takes more than {_MOST_STEPS} steps")

    def _next(self) -> tuple[str, Any]:
        code = self._stream.read(1)
        operation = _OPERATIONS.get(code.decode("latin-1"))
        # Before its argument is decoded: some arguments are costly, or warn.
        if operation is None or operation.name not in _STEPS:
            name = operation.name if operation else f"{code!r}" if code else "its end"
            raise InputError(
                f"the pickle operation {name}", expected="those of a state dict", mend=_STATE_DICT
            )
        try:
            if operation.name == "GLOBAL":
                return operation.name, self._two_lines()
            return operation.name, operation.arg.reader(self._stream) if operation.arg else None
        except ValueError as error:
            raise _broken(f"the argument of {operation.name} is damaged") from error

    def _two_lines(self) -> str:
        # pickletools would undo escapes here, which pickle does not, and warn of those it does not
        # know.
        lines = self._stream.readline(), self._stream.readline()
        if not lines[1].endswith(b"\n"):
            raise ValueError("no end of line")
        return " ".join(line[:-1].decode() for line in lines)

    def _only(self) -> Any:
        if len(self._stack) != 1:
            raise _broken(f"it ends with {len(self._stack)} values")
        return self._stack[0]

    def push(self, value: Any):
        self._stack.append(value)

    def pop(self) -> Any:
        if isinstance(self._stack[-1], _Mark):
            raise _broken("a mark stands where a value should")
        return self._stack.pop()

    def since_mark(self) -> list[Any]:
        items = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def put(self, index: int):
        if not 0 <= index < _MOST_STEPS or isinstance(self._stack[-1], _Mark):
            raise _broken(f"the memo index {index}")
        self._memo[index] = self._stack[-1]

    def memoize(self):
        self.put(len(self._memo))

    def get(self, index: int):
        self.push(self._memo[index])

    def tuple_of(self, count: int):
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def set_items(self, pairs: list[Any]):
        target = self._stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            raise _broken("items are set on what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str) or key in target:
                raise _broken("a key that is no string, or is there twice")
            target[key] = value

    def append(self, items: list[Any]):
        target = self._stack[-1]
        if type(target) is not list:
            raise _broken("items are appended to what is no list")
        target.extend(items)

    def name(self, path: Any):
        if path not in _CALLS and path not in _STORAGES and path not in _DTYPES:
            raise InputError(
                f"a pickle that asks for {str(path)[:80]!r}",
                expected="a state dict",
                mend=_STATE_DICT,
            )
        self.push(Name(path))

    def stack_global(self):
        name, module = self.pop(), self.pop()
        self.name(f"{module} {name}" if isinstance(name, str) and isinstance(module, str) else None)

    def storage(self):
        match self.pop():
            case ("storage", Name(path=path), str(key), str(), numel) if (
                path in _STORAGES and _is_size(numel)
            ):
                self.push(Storage(key, _STORAGES[path], numel))
            case _:
                raise _broken("a storage is not described as torch does")

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        if (
            not isinstance(function, Name)
            or function.path not in _CALLS
            or type(arguments) is not tuple
        ):
            raise _broken("it calls what cannot be called")
        self.push(_CALLS[function.path](arguments))

    def build(self):
        # A state dict's `_metadata`, the versions of its modules: dropped. Nothing else may be
        # given a state.
        state, target = self.pop(), self._stack[-1]
        if type(target) is not dict or type(state) is not dict:
            raise _broken("BUILD on what is no state dict")


def _ordered_dict(arguments: tuple) -> dict:
    if arguments:
        raise _broken("an OrderedDict made of something")
    return {}


def _tensor(arguments: tuple) -> TensorRef:
    """(storage, offset, shape, stride) and then what does not matter here: requires_grad, an empty
    dict of hooks."""
    if len(arguments) > 6:
        # A seventh marks a view whose numbers are negated or conjugated when they are looked at.
        raise _broken("a tensor with metadata (a negated or conjugated view)")
    match arguments[:4]:
        case (Storage() as storage, offset, tuple(shape), tuple(stride)) if _is_view(
            offset, shape, stride
        ):
            return TensorRef(storage, offset, shape, stride)
    raise _broken("a tensor is not described as torch does")


def _tensor_of_bytes(arguments: tuple) -> TensorRef:
    match arguments:
        case (Storage() as storage, _, _, _, _, _, Name(path=path)) if (
            path in _DTYPES and storage.dtype == np.uint8
        ):
            dtype = _DTYPES[path]
            if storage.numel % dtype.itemsize == 0:
                typed = Storage(storage.key, dtype, storage.numel // dtype.itemsize)
                return _tensor((typed, *arguments[1:6]))
    raise _broken("a tensor is not described as torch does")


def _parameter(arguments: tuple) -> TensorRef:
    match arguments:
        case (TensorRef() as tensor, _, _):
            return tensor
    raise _broken("a parameter is not described as torch does")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62  # type(), since True is an int to isinstance


def _is_view(offset: Any, shape: tuple, stride: tuple) -> bool:
    numbers = (offset, *shape, *stride)
    return len(shape) == len(stride) <= 32 and all(
        type(n) is int and abs(n) < 1 << 62 for n in numbers
    )


def _broken(why: str) -> InputError:
    return InputError(
        f"a pickle in which {why}", expected="what torch.save writes for a state dict"
    )


_CALLS: dict[str, Callable[[tuple], Any]] = {
    _DICT: _ordered_dict,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_of_bytes,
    "torch._utils _rebuild_parameter": _parameter,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "STOP": lambda m, _: None,
    "MARK": lambda m, _: m.push(_Mark()),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": lambda m, path: m.name(path),
    "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "BINPERSID": lambda m, _: m.storage(),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "MEMOIZE": lambda m, _: m.memoize(),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda m, index: m.put(index)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, index: m.get(index)),
    **dict.fromkeys(
        (
            "BININT",
            "BININT1",
            "BININT2",
            "LONG1",
            "BINFLOAT",
            "BINUNICODE",
            "SHORT_BINUNICODE",
            "BINUNICODE8",
        ),
        lambda m, value: m.push(value),
    ),
}
