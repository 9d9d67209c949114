"""A state dict's pickle, read as data by a stack machine that can only describe tensors.

A pickle is a program. This machine supports the operations that torch.save emits for a state dict,
and of the names that they call only those in `torch_globals`, each of which is a record of what the
pickle asks for. No name is looked up, imported or called; any other operation or name is refused.
The operations are those of the standard library's pickletools.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any

from dynamics.checkpoints.formats.torch_globals import (
    CALLS,
    DTYPES,
    STORAGES,
    Name,
    Storage,
    TensorRef,
    broken,
    is_size,
)
from dynamics.errors import InputError

MOST_BYTES = 1 << 26
# A tensor takes about 45 steps; a dict is filled 1000 entries, so 2000 stacked values, at a time.
_MOST_STEPS, _MOST_DEPTH = 200_000, 20_000
_STATE_DICT = (
    "Only state dicts are read; in torch, save it again as torch.save(model.state_dict(), path)."
)
_OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}


class _Mark:
    pass


def state_dict(pickle: bytes) -> dict[str, TensorRef]:
    """Tensor name -> where it lies.

    Raises InputError for a pickle of anything else, and for one that asks for more.
    """
    if len(pickle) > MOST_BYTES:
        raise InputError(
            f"a pickle of {len(pickle)} bytes", expected=f"at most {MOST_BYTES} for a state dict"
        )
    value = _Machine(pickle).run()
    if not isinstance(value, dict):
        raise InputError(
            f"a pickled {type(value).__name__}", expected="a state dict", mend=_STATE_DICT
        )
    for name, entry in value.items():
        if not isinstance(entry, TensorRef):
            kind = "nested dict" if isinstance(entry, dict) else type(entry).__name__
            raise InputError(
                f"the entry {name[:80]!r}, a {kind}", expected="tensors alone", mend=_STATE_DICT
            )
    return value


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
                raise broken(f"{name} asks for what is not there") from error
            if len(self._stack) > _MOST_DEPTH:
                raise broken(f"it stacks more than {_MOST_DEPTH} values")
        raise broken(f"it takes more than {_MOST_STEPS} steps")

    def _next(self) -> tuple[str, Any]:
        code = self._stream.read(1)
        operation = _OPERATIONS.get(code.decode("latin-1"))
        # Checked before its argument is decoded: some arguments are costly, or warn.
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
            raise broken(f"the argument of {operation.name} is damaged") from error

    def _two_lines(self) -> str:
        # Unlike pickle, pickletools would undo escapes, and warn of those it cannot read.
        lines = self._stream.readline(), self._stream.readline()
        if not lines[1].endswith(b"\n"):
            raise ValueError("no end of line")
        return " ".join(line[:-1].decode() for line in lines)

    def _only(self) -> Any:
        if len(self._stack) != 1:
            raise broken(f"it ends with {len(self._stack)} values")
        return self._stack[0]

    def push(self, value: Any):
        self._stack.append(value)

    def pop(self) -> Any:
        if isinstance(self._stack[-1], _Mark):
            raise broken("a mark stands where a value should")
        return self._stack.pop()

    def since_mark(self) -> list[Any]:
        values = []
        while not isinstance(value := self._stack.pop(), _Mark):
            values.append(value)
        return values[::-1]

    def put(self, index: int):
        if not 0 <= index < _MOST_STEPS or isinstance(self._stack[-1], _Mark):
            raise broken(f"the memo index {index}")
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
            raise broken("items are set on what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str) or key in target:
                raise broken("a key that is no string, or is there twice")
            target[key] = value

    def append(self, values: list[Any]):
        target = self._stack[-1]
        if type(target) is not list:
            raise broken("items are appended to what is no list")
        target.extend(values)

    def name(self, path: Any):
        if path not in CALLS and path not in STORAGES and path not in DTYPES:
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
                path in STORAGES and is_size(numel)
            ):
                self.push(Storage(key, STORAGES[path], numel))
            case _:
                raise broken("a storage is not described as torch does")

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        if (
            not isinstance(function, Name)
            or function.path not in CALLS
            or type(arguments) is not tuple
        ):
            raise broken("it calls what cannot be called")
        self.push(CALLS[function.path](arguments))

    def build(self):
        # The state is a state dict's `_metadata`, the versions of its modules, and is dropped.
        # Nothing else may have a state.
        state, target = self.pop(), self._stack[-1]
        if type(target) is not dict or type(state) is not dict:
            raise broken("BUILD on what is no state dict")


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
