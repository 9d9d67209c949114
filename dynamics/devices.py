"""Chains over devices: the only file that knows of devices, meshes and processes.

Axes: C chains, D devices of this process, c chains of one device, P processes.
"""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dynamics.errors import InputError

AXES = ("chain", "model")


@functools.lru_cache(maxsize=64)
def map_chains(fn, mesh: Mesh | None = None, *, chain_batch: int | None = None):
    """Spreads a device-blind function of one chain over the chains: mapped(per_chain, *shared) ->
    leaves [C,...].

    Args:
        fn: (per_chain, *shared) -> pytree of arrays, for one chain. Compiled once per shape; kept
            by its identity.
        mesh: None vmaps chains inside a device and pmaps them over this process's devices; several
            processes take a share each and gather the results. A mesh with the axes ("chain",
            "model") runs the same under one jit with chains sharded over "chain" and the first
            shared argument, the params, over "model", for models that one device does not hold.
        chain_batch: how many chains are vmapped at once; the rest wait their turn.

    `per_chain` is a pytree with leading axis C, such as keys [C]; a C that does not divide is
    padded and cut again. Results do not depend on the layout beyond float reassociation.

    Raises:
        InputError: a mesh with other axes.
    """
    if mesh is None:
        return functools.partial(_over_processes, fn, chain_batch)
    if set(mesh.axis_names) != set(AXES):
        raise InputError(f"a mesh with axes {mesh.axis_names}", expected=f"the axes {AXES}")
    # Explicit axes would ask fn, which is blind to them, for the sharding of every ambiguous
    # product.
    auto = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
    return functools.partial(_over_mesh, jax.jit(_batched(fn, chain_batch)), auto)


def _batched(fn, chain_batch: int | None):
    """fn over the chains of one program, `chain_batch` at a time."""

    def batched(per_chain, shared):
        def of_chain(own):
            return fn(own, *shared)

        if chain_batch is None or chain_batch >= _count(per_chain):
            return jax.vmap(of_chain)(per_chain)
        return jax.lax.map(of_chain, per_chain, batch_size=chain_batch)

    return batched


def _count(per_chain) -> int:
    return jax.tree.leaves(per_chain)[0].shape[0]


def _take(per_chain, start: int, size: int):
    """Chains start .. start + size - 1; past the end the last one again, whose result is cut off
    later."""
    index = np.minimum(np.arange(start, start + size), _count(per_chain) - 1)
    return (
        jax.tree.map(lambda x: x[index], per_chain)
        if size != _count(per_chain) or start
        else per_chain
    )


def _over_processes(fn, chain_batch, per_chain, *shared):
    count, processes = _count(per_chain), jax.process_count()
    share = -(-count // processes)
    mine = _take(per_chain, jax.process_index() * share, share)
    return _gathered(_over_local_devices(fn, chain_batch, mine, shared), count)


def _over_local_devices(fn, chain_batch, per_chain, shared):
    count = _count(per_chain)
    used = tuple(jax.local_devices()[:count])
    each = -(-count // len(used))
    split = jax.tree.map(
        lambda x: x.reshape(len(used), each, *x.shape[1:]), _take(per_chain, 0, len(used) * each)
    )
    local = Mesh(np.array(used), ("chain",))
    split = _place(
        split, local, lambda shape: ["chain"]
    )  # where a former result does not lie already
    out = _pmapped(fn, chain_batch, used)(
        split, _place(shared, local, lambda shape: [])
    )  # [D,c,...]
    return _cut(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out), count)


@functools.lru_cache(maxsize=64)
def _pmapped(fn, chain_batch, used: tuple):
    # A new pmap traces anew, so there is one per function and set of devices.
    return jax.pmap(_batched(fn, chain_batch), in_axes=(0, None), devices=used)


def _over_mesh(jitted, mesh: Mesh, per_chain, *shared):
    count, groups = _count(per_chain), mesh.shape["chain"]
    padded = _take(per_chain, 0, -(-count // groups) * groups)

    def model_axis(shape) -> list:
        return _largest_divisible(shape, mesh.shape["model"])

    own = _place(padded, mesh, lambda shape: ["chain", *model_axis(shape[1:])])
    params, *rest = shared
    return _gathered(
        jitted(own, (_place(params, mesh, model_axis), *_place(rest, mesh, lambda shape: []))),
        count,
    )


def _place(tree, mesh: Mesh, spec):
    """Puts every leaf on the mesh as `spec` of its shape says: a list of axis names, [] for a copy
    on each device."""
    return jax.tree.map(
        lambda x: _put(x, NamedSharding(mesh, PartitionSpec(*spec(np.shape(x))))), tree
    )


def _put(x, sharding: NamedSharding):
    """device_put, also where `sharding` reaches over other processes; every process holds the whole
    of x."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if jnp.issubdtype(getattr(x, "dtype", np.float32), jax.dtypes.prng_key):
        return jax.random.wrap_key_data(
            _put(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x)
        )
    whole = np.asarray(x, dtype=jax.dtypes.result_type(x))
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def _largest_divisible(shape, parts: int) -> list:
    """A partition spec with "model" on the largest axis that divides into `parts`; replicated where
    none does."""
    fitting = [axis for axis, size in enumerate(shape) if size % parts == 0 and size >= parts]
    largest = max(fitting, key=lambda axis: shape[axis], default=None)
    return ["model" if axis == largest else None for axis in range(len(shape))]


def _gathered(out, count: int):
    """Every process gets all C chains, once, at the end."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        out = multihost_utils.process_allgather(out, tiled=True)
    return _cut(out, count)


def _cut(out, count: int):
    # A slice that keeps everything would still copy, and bring an uneven number of chains onto
    # every device.
    return jax.tree.map(lambda x: x if x.shape[0] == count else x[:count], out)


def memory_bytes() -> int:
    """What the first device of this process may hold: its own limit, or the machine's memory where
    it has none."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
