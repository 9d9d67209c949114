"""The flag that says which tensors are looked at, for the scripts that look at single ones."""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "tensors",
    None,
    "regular expression for names of tensors, such as 'embed_out|attention'; default every matrix "
    "in weights, the unembedding in paths",
)


def pattern(default: str) -> str:
    """What --tensors says, or what the script does without."""
    return default if FLAGS.tensors is None else FLAGS.tensors
