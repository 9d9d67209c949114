"""Reading and checking a config.json's fields, for every layout."""

from collections.abc import Mapping
from typing import Any

from dynamics import inputs
from dynamics.errors import InputError


def check_fixed(fields: Mapping, fixed: Mapping, where: str, why: str):
    """Raises InputError where a field asks for what the forward pass here does not compute."""
    for name, value in fixed.items():
        field = fields.get(name, value)
        if type(field) is not type(value) or field != value:
            raise InputError(
                f"{where} with {name} = {inputs.shown(field)}", expected=f"{value!r}, {why}"
            )


def read_fields(
    fields: Mapping, names: Mapping[str, str], ranges: Mapping[str, inputs.Range], where: str
) -> dict[str, Any]:
    """The values of a Config that stand in config.json, each of its type and in its range.

    Args:
        fields: of config.json, or of an object in it.
        names: a field's name there -> its name in the Config. A field that is absent is left out.
        ranges: the Config's name -> its range.
        where: what messages call the file.

    Raises:
        InputError: a value of another type, or out of its range.
    """
    return {
        name: ranges[name].check(fields[field], f"{where} with {field} ")
        for field, name in names.items()
        if field in fields
    }


def make_config(
    make: type, values: Mapping[str, Any], names: Mapping[str, str], family: str, where: str
) -> Any:
    """The Config `make` of these values.

    Args:
        make: a family's Config.
        values: its fields, by its own names.
        names: the fields that config.json must have: its name -> the Config's.
        family: its name, for messages.
        where: what messages call the file.

    Raises:
        InputError: a field is missing, or the values do not go together.
    """
    for field, name in names.items():
        if name not in values:
            raise InputError(
                f"{where} without {field!r}", expected=f"a complete {family} configuration"
            )
    try:
        return make(**values)
    except InputError as error:
        raise InputError(
            f"{where} with {error.got}", expected=error.expected, mend=error.mend
        ) from error
