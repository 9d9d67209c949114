"""Writes tests/models/golden_bert: small BERT checkpoints, tokens, and transformers' logits.

    python tests/models/make_golden_bert.py        (CPU, seconds; needs torch and transformers)

Axes: B batch, T tokens, V vocabulary. Shapes are prime where the architecture lets them be (3
layers, 5 heads of 7, vocabulary 101, MLP 67, 11 tokens). Every parameter is drawn at random, biases
and norms included. One case is stored as MultiBERTs are (a torch .bin of BertForPreTraining, whose
tied matrix stands under both names), the other as BERTs of 2018 were (gamma and beta).
"""

import json
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden_bert"
BATCH, LENGTH = 2, 11
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertForPreTraining"],
    "hidden_act": "gelu",
    "hidden_size": 35,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 67,
    "vocab_size": 101,
    "max_position_embeddings": 23,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "pad_token_id": 0,
}
CASES = {"multibert": {}, "old_names": {"layer_norm_eps": 1e-5, "type_vocab_size": 3}}


def random_model(config: dict, seed: int):
    """A model of random parameters, all representable in float16, and the generator used."""
    import torch
    import transformers

    model = transformers.BertForPreTraining._from_config(
        transformers.BertConfig(**config), attn_implementation="eager", dtype=torch.float32
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Gain 1.5 makes attention far from uniform and the logits' SD above 1, so that no fault
            # can hide as small.
            std = 1.5 / p.shape[-1] ** 0.5 if p.ndim == 2 else 0.3
            centre = 1.0 if "LayerNorm" in name and name.endswith("weight") else 0.0
            p.copy_((centre + std * torch.randn(p.shape, generator=generator)).half())
    return model, generator


def write_case(name: str, folder: Path, seed: int):
    """A checkpoint folder in the hub's layout, with expected.npz in it.

    That holds tokens [B,T] and logits float32 [B,T,V].
    """
    import torch
    from safetensors.torch import save_file

    config = CONFIG | CASES[name]
    model, generator = random_model(config, seed)
    tokens = torch.randint(0, config["vocab_size"], (BATCH, LENGTH), generator=generator)
    with torch.no_grad():
        logits = model(tokens).prediction_logits
    assert logits.std() >= 1, f"logits of SD {logits.std():.2f}"

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: p.detach().half() for name, p in model.state_dict(keep_vars=True).items()}
    tensors["bert.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    if name == "multibert":
        tensors["cls.predictions.decoder.weight"] = tensors[
            "bert.embeddings.word_embeddings.weight"
        ]
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        greek = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for old, new in greek.items():
            tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
        untied = {
            name: tensor.contiguous() for name, tensor in tensors.items() if "decoder" not in name
        }
        save_file(untied, folder / "model.safetensors", metadata={"format": "pt"})
    np.savez_compressed(
        folder / "expected.npz", tokens=tokens.numpy().astype(np.int32), logits=logits.numpy()
    )


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for seed, name in enumerate(CASES):
        write_case(name, GOLDEN / name, seed)
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    print(f"{GOLDEN}: {len(CASES)} cases, {size} bytes")


if __name__ == "__main__":
    main()
