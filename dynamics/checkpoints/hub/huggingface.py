"""What is used of huggingface_hub, imported whatever HF_ENDPOINT says.

huggingface_hub parses the address when it is imported, and raises ValueError for some that are
none. Here that is an error of the first request, which says so (`client.endpoint`).
"""

import os
from types import ModuleType


def _import_constants() -> ModuleType:
    try:
        from huggingface_hub import constants
    except ValueError:
        address = os.environ.pop("HF_ENDPOINT")
        try:
            from huggingface_hub import constants
        finally:
            os.environ["HF_ENDPOINT"] = address
    return constants


constants = _import_constants()

from huggingface_hub import __version__, get_token, try_to_load_from_cache  # noqa: E402
from huggingface_hub.errors import HFValidationError  # noqa: E402
from huggingface_hub.utils import validate_repo_id  # noqa: E402

__all__ = [
    "HFValidationError",
    "__version__",
    "constants",
    "get_token",
    "try_to_load_from_cache",
    "validate_repo_id",
]
