"""A strict session: two CPU devices, no silent broadcasting over ranks, no network, a cache of its
own."""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

os.environ.setdefault("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=2"
# XLA's newer way to make loops for a CPU takes twice as long to compile small programs, which then
# run as fast. What runs as users do leaves this out. A release that lacks a flag would not start.
if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") != "0" and version("jaxlib") < "0.11":
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] += " --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
# Workers fill the cores. More threads of linear algebra only wait for one another, at full load.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Modules, workers and the processes that tests start share compiled programs: workers and processes
# inherit the folder's name. A folder that is named beforehand serves later sessions too.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import jax
import pytest

# A loaded machine is slow at drawing examples, which says nothing of the code under test.
hypothesis.settings.register_profile(
    "loaded", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("loaded")
jax.config.update("jax_numpy_rank_promotion", "raise")


_NAMED = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Tests, and the scripts that they start, are compiled without the compiler's slow passes: most
    compile for longer than they compute. With them are those marked `computes`, and `alone`. The
    environment may name one way for all; 0 is the users'."""
    if _NAMED is None:
        quickly = not any(item.get_closest_marker(name) for name in ("computes", "alone"))
        jax.config.update("jax_disable_most_optimizations", quickly)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(quickly))


def pytest_collection_modifyitems(items):
    """The longest module first: a long one at the end would leave the other worker idle."""
    items.sort(key=lambda item: item.path.stem != "test_nano")


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Compiled programs of a module are dropped at its end: kept, they fill gigabytes over a
    session."""
    yield
    jax.clear_caches()
