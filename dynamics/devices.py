"""Chains over devices: the only file that knows of devices, meshes and processes.

Axes: C chains, D devices of this process, c chains of one device.
"""

import functools
import os
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key, PyTree, Shaped

from dynamics.errors import InputError

__all__ = ["AXES", "layout_free_key", "map_chains", "memory_bytes", "replicated"]

AXES = ("chain", "model")


@functools.lru_cache(maxsize=64)
def map_chains(
    fn: Callable[..., PyTree[Shaped[Array, "..."]]],
    mesh: Mesh | None = None,
    *,
    chain_batch: int | None = None,
) -> Callable[..., PyTree[Shaped[Array, "C ..."]]]:
    """Spreads a device-blind function of one chain over chains: mapped(per_chain, *shared).

    `per_chain` is a pytree whose leaves [C,...] have a row for each chain, such as keys [C]; the
    leaves that are returned are [C,...] too. A C that does not divide evenly is padded, and the
    padding is cut off. Results do not depend on the layout beyond float reassociation; keys are
    therefore those of `layout_free_key`.

    Args:
        fn: (per_chain, *shared) -> pytree of arrays, for one chain. It is compiled once per shape,
            and its programs are kept by its identity.
        mesh: None vmaps chains inside a device and pmaps them over this process's devices; each of
            several processes takes a share and gathers the results of all. A mesh with the axes
            ("chain", "model") runs the same under one jit, with chains sharded over "chain" and the
            first shared argument, the params, over "model": for models too large for one device.
        chain_batch: how many chains are vmapped at once; the rest wait their turn. With 1 nothing
            is vmapped.

    Raises:
        InputError: a mesh with other axes; from `mapped`, keys that depend on the layout.
        AssertionError: from `mapped`, for leaves of `per_chain` that differ in C.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def walk(key, start):  # one chain
        ...     return start + jnp.cumsum(jax.random.normal(key, (10,)))
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> map_chains(walk)(keys, jnp.float32(1)).shape
        (3, 10)
    """
    if mesh is None:
        return functools.partial(_over_processes, fn, chain_batch)
    if set(mesh.axis_names) != set(AXES):
        raise InputError(f"a mesh with axes {mesh.axis_names}", expected=f"the axes {AXES}")
    # With explicit axes fn, which knows no mesh, would have to name the sharding of every ambiguous
    # product.
    auto = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
    return functools.partial(_over_mesh, jax.jit(_batched(fn, chain_batch)), auto)


def _batched(fn, chain_batch: int | None):
    """fn over the chains of one program, `chain_batch` at a time."""

    def batched(per_chain, shared):
        def of_chain(own):
            return fn(own, *shared)

        if chain_batch == 1:  # as it is: of a choice vmap would compute both sides
            return jax.lax.map(of_chain, per_chain)
        if chain_batch is None or chain_batch >= _count(per_chain):
            return jax.vmap(of_chain)(per_chain)
        return jax.lax.map(of_chain, per_chain, batch_size=chain_batch)

    return batched


def _count(per_chain) -> int:
    return jax.tree.leaves(per_chain)[0].shape[0]


def _checked(per_chain):
    """The leaves of as many chains each, and keys whose numbers no batching changes."""
    # Padding indexes every leaf by the first one's length, and JAX clips an index in silence.
    chex.assert_equal_shape_prefix(jax.tree.leaves(per_chain), 1)
    return jax.tree.map(lambda leaf: layout_free_key(leaf) if _is_key(leaf) else leaf, per_chain)


def layout_free_key(key: Key[Array, "*axes"]) -> Key[Array, "*axes"]:
    """The key whose numbers are the same however calls are batched: a Threefry key as it is.

    Numbers drawn under vmap from an `rbg` key depend on the size of the batch. Such a key is two
    Threefry keys side by side, which fold alike; the first takes its place. So rbg keys of a seed
    give the numbers that Threefry keys of that seed give.

    Raises:
        InputError: keys of another kind, which are batched as they please.

    Example:
        >>> import jax
        >>> key = jax.random.fold_in(jax.random.key(0, impl="rbg"), 7)
        >>> layout_free_key(key) == jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 7)
        Array(True, dtype=bool)
    """
    kind = str(jax.random.key_impl(key))
    if kind == "threefry2x32":
        return key
    if kind != "rbg":
        raise InputError(
            f"a random key of the kind {kind}",
            expected="threefry2x32, whose numbers do not depend on how chains are batched",
            mend='Use jax.random.key(seed, impl="threefry2x32").',
        )
    return jax.random.wrap_key_data(jax.random.key_data(key)[..., :2], impl="threefry2x32")


def _is_key(leaf) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(np.float32)), jax.dtypes.prng_key)


def _take(per_chain, start: int, size: int):
    """Chains start .. start + size - 1; past the end the last one again, to be cut off later."""
    if size == _count(per_chain) and not start:
        return per_chain
    index = np.minimum(np.arange(start, start + size), _count(per_chain) - 1)
    return jax.tree.map(lambda x: x[index], per_chain)


def _over_processes(fn, chain_batch, per_chain, *shared):
    per_chain = _checked(per_chain)
    count, processes = _count(per_chain), jax.process_count()
    share = -(-count // processes)
    mine = _take(per_chain, jax.process_index() * share, share)
    return _gathered(_over_local_devices(fn, chain_batch, mine, shared), count)


def _over_local_devices(fn, chain_batch, per_chain, shared):
    count = _count(per_chain)
    used = tuple(jax.local_devices()[:count])
    each = -(-count // len(used))
    padded = _take(per_chain, 0, len(used) * each)
    split = jax.tree.map(lambda x: x.reshape(len(used), each, *x.shape[1:]), padded)
    # An explicit placement moves nothing that an earlier call has left in place.
    local = Mesh(np.array(used), ("chain",))
    split = _place(split, local, lambda shape: ["chain"])
    shared = _place(shared, local, lambda shape: [])
    per_device = _pmapped(fn, chain_batch, used)((split,), shared)  # [D,c,...]
    return _cut(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), per_device), count)


@functools.lru_cache(maxsize=64)
def _pmapped(fn, chain_batch, used: tuple):
    # Every new pmap traces again, so one is kept for each function and set of devices.
    batched = _batched(fn, chain_batch)
    # The chains come in a tuple because JAX 0.10 takes in_axes=(0, None) for the axes of leaves
    # where there are as many leaves as arguments: two of per_chain, and nothing shared.
    return jax.pmap(
        lambda chains, shared: batched(chains[0], shared), in_axes=((0,), None), devices=used
    )


def _over_mesh(jitted, mesh: Mesh, per_chain, *shared):
    per_chain = _checked(per_chain)
    count, groups = _count(per_chain), mesh.shape["chain"]
    padded = _take(per_chain, 0, -(-count // groups) * groups)

    def model_axis(shape) -> list:
        return _largest_divisible(shape, mesh.shape["model"])

    own = _place(padded, mesh, lambda shape: ["chain", *model_axis(shape[1:])])
    params, *rest = shared
    placed = (_place(params, mesh, model_axis), *_place(rest, mesh, lambda shape: []))
    return _gathered(jitted(own, placed), count)


def replicated(tree: PyTree) -> PyTree:
    """The tree on every device of this process, where calls of a mapped function leave it in place.

    On one device it is `jax.device_put`.
    """
    used = tuple(jax.local_devices())
    if len(used) == 1:
        return jax.device_put(tree)
    return _place(tree, Mesh(np.array(used), ("chain",)), lambda shape: [])


def _place(tree, mesh: Mesh, spec):
    """Puts every leaf on the mesh as spec(its shape) says: a list of axis names.

    [] puts a copy on every device.
    """
    return jax.tree.map(
        lambda x: _put(x, NamedSharding(mesh, PartitionSpec(*spec(np.shape(x))))), tree
    )


def _put(x, sharding: NamedSharding):
    """device_put that also serves a sharding over other processes, if each holds the whole of x."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if _is_key(x):
        return jax.random.wrap_key_data(
            _put(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x)
        )
    whole = np.asarray(x, dtype=jax.dtypes.result_type(x))
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def _largest_divisible(shape, parts: int) -> list:
    """A partition spec with "model" on the largest axis that divides into `parts`.

    Without such an axis the array is replicated.
    """
    fitting = [axis for axis, size in enumerate(shape) if size % parts == 0 and size >= parts]
    largest = max(fitting, key=lambda axis: shape[axis], default=None)
    return ["model" if axis == largest else None for axis in range(len(shape))]


def _gathered(mapped, count: int):
    """All C chains for every process, gathered once at the end."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        mapped = multihost_utils.process_allgather(mapped, tiled=True)
    return _cut(mapped, count)


def _cut(mapped, count: int):
    # A slice of everything would still copy, and would bring an uneven number of chains onto every
    # device.
    return jax.tree.map(lambda x: x if x.shape[0] == count else x[:count], mapped)


def memory_bytes() -> int:
    """Bytes that the first device of this process may hold.

    This is the device's own limit or, where it has none, the machine's memory.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
