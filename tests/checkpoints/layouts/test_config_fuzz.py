"""Every field of config.json with every odd value, in every family: read, or refused by name."""

import json
import resource
import time

import jax
import pytest

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json
from dynamics.errors import InputError

SHAPE = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 16}
SHAPE |= {"vocab_size": 11, "max_positions": 8}
FAMILIES = {
    "gpt_neox": models.gpt_neox.Config(**SHAPE),
    "bert": models.bert.Config(**SHAPE),
    "icl_regression": models.icl_regression.Config(
        **{name: SHAPE[name] for name in list(SHAPE)[:4]}, task_size=2, num_pairs=4
    ),
}
FIELDS = {
    family: (
        *config_json.to_hub(config),
        *("rope_parameters", "rope_scaling", "rope_theta", "unheard_of"),
    )
    for family, config in FAMILIES.items()
}
# As JSON, since no writer of JSON would write some of them.
ODD_VALUES = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "minus one": "-1",
    "one": "1",
    "a half": "0.5",
    "whole float": "16.0",
    "large": str(2**31 - 1),
    "larger": "1" + "0" * 400,
    "infinity": "Infinity",
    "nan": "NaN",
    "text": '"false"',
    "odd text": '"' + "\\ud800\\u0000" * 1000 + '"',
    "list": "[]",
    "nest": "[" * 500 + "{}" + "]" * 500,
    "digits": "9" * 5000,
}
# What a rope object may hold.
ROPE = ("rope_type", "type", "rope_theta", "partial_rotary_factor")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    make = jax.jit(models.init, static_argnames="config")
    return {
        family: checkpoints.save(root / family, config, make(jax.random.key(0), config))
        for family, config in FAMILIES.items()
    }


def outcome(folder, fields: str) -> str:
    """What loading gives with the fields of config.json: "read", or the sentence that refuses."""
    (folder / "config.json").write_text(fields)
    try:
        assert type(checkpoints.load(folder).config) in models.ARCHITECTURES
        words = "read"
    except InputError as error:
        words = str(error)
    assert "\n" not in words
    assert len(words) < 1500
    return words


@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_of_config_json(folders, family, value):
    whole = config_json.to_hub(FAMILIES[family])
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for field in FIELDS[family]:
        others = {name: content for name, content in whole.items() if name != field}
        text = json.dumps(others)[:-1] + f', "{field}": {ODD_VALUES[value]}}}'
        words = outcome(folders[family], text)
        if words != "read" and value != "digits":
            folder = str(folders[family])
            assert field in words or folder in words or "config.json" in words, (field, words)
    for field in ROPE if family == "gpt_neox" else ():
        text = json.dumps(whole)[:-1] + f', "rope_parameters": {{"{field}": {ODD_VALUES[value]}}}}}'
        outcome(folders[family], text)
    assert time.process_time() - begun < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # KiB


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("gpt_neox", "use_parallel_residual", '"false"'),
        ("gpt_neox", "use_parallel_residual", "0"),
        ("gpt_neox", "layer_norm_eps", "Infinity"),
        ("gpt_neox", "layer_norm_eps", "[]"),
        ("gpt_neox", "rotary_emb_base", "0"),
        ("gpt_neox", "rotary_pct", "true"),
        ("gpt_neox", "rope_parameters", "[]"),
        ("gpt_neox", "rope_scaling", '"default"'),
        ("gpt_neox", "tie_word_embeddings", "0"),
        ("gpt_neox", "initializer", '["small"]'),
        ("bert", "is_decoder", "0"),
        ("bert", "layer_norm_eps", '"1e-12"'),
        ("bert", "initializer_range", "-0.1"),
        ("bert", "type_vocab_size", "2.0"),
        ("bert", "vocab_size", "true"),
        ("bert", "model_type", "[]"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_field_and_file(folders, family, field, value):
    whole = config_json.to_hub(FAMILIES[family])
    others = {name: content for name, content in whole.items() if name != field}
    words = outcome(folders[family], json.dumps(others)[:-1] + f', "{field}": {value}}}')
    assert field in words
    assert str(folders[family] / "config.json") in words
