"""Checks of a config.json's fields that every layout needs."""

from collections.abc import Iterable, Mapping

from dynamics.errors import InputError


def check_fixed(fields: Mapping, fixed: Mapping, where: str, why: str):
    """Raises InputError where a field asks for what the forward pass here does not compute."""
    for name, value in fixed.items():
        if fields.get(name, value) != value:
            raise InputError(
                f"{where} with {name} = {fields[name]!r}", expected=f"{value!r}, {why}"
            )


def check_sizes(fields: Mapping, names: Iterable[str], where: str):
    """Raises InputError for a size that no array has.

    That a size is a whole number at all is checked by the Config.
    """
    for name in names:
        size = fields.get(name)
        if size is True or (isinstance(size, int) and size >= 1 << 31):
            raise InputError(
                f"{where} with {name} {size!r:.60}", expected="a whole number below 2^31"
            )
