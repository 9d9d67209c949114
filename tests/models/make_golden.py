"""Writes tests/models/golden: small GPT-NeoX checkpoints, tokens, and transformers' logits.

    python tests/models/make_golden.py        (CPU, seconds; needs torch and transformers)

Axes: B batch, T tokens, V vocabulary. Shapes are prime where the architecture lets them be (3
layers, 5 heads, vocabulary 101, MLP 67, 11 tokens), so that a swapped axis cannot hide. Every
parameter is drawn at random, biases and norms included. Between them the three cases hold both
residual forms, three rotary fractions, config.json of either age, either name of the output matrix,
the buffers of old files, three dtypes, and shards.
"""

import json
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
BATCH, LENGTH = 2, 11
SHARED = {
    "model_type": "gpt_neox",
    "architectures": ["GPTNeoXForCausalLM"],
    "hidden_act": "gelu",
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 67,
    "vocab_size": 101,
    "max_position_embeddings": 23,
    "layer_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
CASES = {
    "parallel_quarter": {
        "config": {
            "hidden_size": 40,
            "use_parallel_residual": True,
            "rotary_pct": 0.25,
            "rotary_emb_base": 10000,
        },
        "dtype": "float16",
        "old_buffers": True,
        "unembed": "embed_out.weight",
        "shards": 1,
    },
    "sequential_half": {
        "config": {
            "hidden_size": 40,
            "use_parallel_residual": False,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10007.0,
                "partial_rotary_factor": 0.5,
            },
        },
        "dtype": "bfloat16",
        "old_buffers": False,
        "unembed": "lm_head.weight",
        "shards": 2,
    },
    "parallel_full": {
        "config": {
            "hidden_size": 20,
            "use_parallel_residual": True,
            "rotary_pct": 1.0,
            "rotary_emb_base": 101,
        },
        "dtype": "float32",
        "old_buffers": False,
        "unembed": "embed_out.weight",
        "shards": 1,
    },
}


def random_model(config: dict, dtype: str, seed: int):
    """A model of random parameters, all representable in `dtype`, and the generator used."""
    import torch
    import transformers

    model = transformers.GPTNeoXForCausalLM._from_config(
        transformers.GPTNeoXConfig(**config), attn_implementation="eager", dtype=torch.float32
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Gain 1.5 makes attention far from uniform and the logits' SD above 1, so that no fault
            # can hide as small.
            std = 1.5 / p.shape[-1] ** 0.5 if p.ndim == 2 else 0.3
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            draw = centre + std * torch.randn(p.shape, generator=generator)
            p.copy_(draw.to(getattr(torch, dtype)))
    return model, generator


def write_case(folder: Path, case: dict, seed: int):
    """A checkpoint folder in the hub's layout, with expected.npz in it.

    That holds tokens [B,T] and logits float32 [B,T,V].
    """
    import torch
    from safetensors.torch import save_file

    config = {**SHARED, **case["config"]}
    model, generator = random_model(config, case["dtype"], seed)
    tokens = torch.randint(0, config["vocab_size"], (BATCH, LENGTH), generator=generator)
    with torch.no_grad():
        logits = model(tokens).logits
    assert logits.std() >= 1, f"logits of SD {logits.std():.2f}"

    tensors = {
        name.replace("lm_head.weight", case["unembed"]): p.detach().to(
            getattr(torch, case["dtype"])
        )
        for name, p in model.named_parameters()
    }
    if case["old_buffers"]:
        tensors |= old_buffers(config)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    names = sorted(tensors)
    parts = [names[k :: case["shards"]] for k in range(case["shards"])]
    files = ["model.safetensors"]
    if len(parts) > 1:
        files = [f"model-{k + 1:05}-of-{len(parts):05}.safetensors" for k in range(len(parts))]
        where = {name: file for part, file in zip(parts, files, strict=True) for name in part}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": where}) + "\n"
        )
    for part, file in zip(parts, files, strict=True):
        save_file(
            {name: tensors[name].contiguous() for name in part},
            folder / file,
            metadata={"format": "pt"},
        )
    np.savez_compressed(
        folder / "expected.npz", tokens=tokens.numpy().astype(np.int32), logits=logits.numpy()
    )


def old_buffers(config: dict) -> dict:
    """What files of 2023 hold beside the parameters."""
    import torch

    positions, buffers = config["max_position_embeddings"], {}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{layer}.attention."
        buffers[prefix + "bias"] = torch.ones(1, 1, positions, positions).tril().bool()
        buffers[prefix + "masked_bias"] = torch.tensor(-1e9)
        buffers[prefix + "rotary_emb.inv_freq"] = torch.ones(1)
    return buffers


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for seed, (name, case) in enumerate(CASES.items()):
        write_case(GOLDEN / name, case, seed)
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    print(f"{GOLDEN}: {len(CASES)} cases, {size} bytes")


if __name__ == "__main__":
    main()
