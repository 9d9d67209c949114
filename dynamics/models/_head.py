"""Models without their output head, as of an encoder that was saved alone.

Their params lack `unembed`, and a BERT's `transform`. What needs hidden states or matrices alone
works with them; what needs logits refuses them.
"""

from dynamics.errors import InputError
from dynamics.models._transformer import Params


def has_head(params: Params) -> bool:
    """Do the params hold what turns hidden states into logits?

    Example:
        >>> import jax
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> has_head(params), has_head({"embed": params["embed"]})
        (True, False)
    """
    return "unembed" in params


def check_head(params: Params):
    """Raises InputError for params without an output head, when logits are asked of them."""
    if not has_head(params):
        raise InputError(
            "weights without an output head, as of an encoder that was saved alone",
            expected="a whole model, since this needs the logits of tokens",
            mend="Load one that was saved with its head (BertForMaskedLM, GPTNeoXForCausalLM).",
        )
