"""Names of tensors: which of them a user's pattern asks for, and the folder that one may have.

A file from elsewhere may name its tensors as it likes.
"""

import hashlib
import re
from collections.abc import Mapping

from dynamics.errors import InputError

_SAFE = re.compile(r"\w[\w.-]{0,149}", re.ASCII)  # file systems allow 255 bytes, and nano's fit
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def matching(names: Mapping[str, str], pattern: str) -> list[str]:
    """Names in which a regular expression matches anywhere, or in what they are called in the file.

    Args:
        names: name -> the name in the file, which may be the same.
        pattern: of the user.

    Raises:
        InputError: a pattern that matches none, with near names; what is no regular expression.

    Example:
        >>> matching({"embed_in": "embed_in.weight", "embed_out": "lm_head.weight"}, "head|_in$")
        ['embed_in', 'embed_out']
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(
            f"the pattern {pattern!r} ({error})", expected="a regular expression"
        ) from error
    matches = [name for name, alias in names.items() if any(map(compiled.search, (name, alias)))]
    if not matches:
        raise InputError.unknown("tensor", pattern, names)
    return matches


def folder_name(tensor: str) -> str:
    """A folder's name for a tensor: its own where that is a plain one, else one with a digest.

    A name such as "../x" would lead out of the folder of results, and a long one could not be made.

    Example:
        >>> folder_name("embed_out.weight"), folder_name("../embed_out")
        ('embed_out.weight', 'embed_out-c774eefe0c')
    """
    if _SAFE.fullmatch(tensor):
        return tensor
    digest = hashlib.sha256(tensor.encode(errors="surrogatepass")).hexdigest()[:10]
    letters = _UNSAFE.sub("-", tensor)[:100].strip(".-")
    return f"{letters or 'tensor'}-{digest}"
