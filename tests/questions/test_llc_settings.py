"""The stored settings of a run's chains."""

import dataclasses

import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.questions.llc import record_settings as settings
from dynamics.results import Store, Unit

SERVING = settings.Settings(
    step_size=1e-4,
    nbeta=1000.0,
    localization=400.0,
    num_draws=300,
    burn_in=100,
    thinning=2,
    foretold_exponent=-0.4,
    measured_exponent=-0.45,
    sentence="γ = 0.4 n β.",
)


@pytest.mark.parametrize("written", [SERVING, settings.Settings(sentence="No setting serves.")])
def test_settings_are_read_as_they_were_written(written, tmp_path):
    store, unit = Store(tmp_path), Unit.of_run(settings.MEASURE, "toy-8", (0,))
    store.write(unit, settings.to_dataset(written), {}, {"weights": []})
    read = settings.from_dataset(store.read(unit))
    for field in dataclasses.fields(written):
        np.testing.assert_equal(getattr(read, field.name), getattr(written, field.name))
    assert read.serve == (written is SERVING)


def test_a_file_without_a_number_is_refused_by_name():
    data = settings.to_dataset(SERVING).drop_vars("nbeta")
    with pytest.raises(InputError, match="nbeta"):
        settings.from_dataset(data)
