"""Names for files, ids and addresses, made from names that may be anything."""

import re
import unicodedata

LONGEST = 60  # characters; a folder on any disk holds names of that length


class Slugs:
    """Gives every name a slug of its own: lower-case letters, digits, "-" and "_".

    Example:
        >>> slugs = Slugs()
        >>> slugs.new("Pairs: “KL”"), slugs.new("pairs kl"), slugs.new("</script>")
        ('pairs-kl', 'pairs-kl-2', 'script')
    """

    def __init__(self, *reserved: str):
        """`reserved` slugs are given to no name."""
        self._taken = set(reserved)

    def new(self, name: str) -> str:
        """A slug that was not given before."""
        decomposed = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        letters = re.sub(r"[^a-z0-9_]+", "-", decomposed.lower())[:LONGEST].strip("-") or "x"
        candidates = (
            letters if n == 1 else f"{letters}-{n}" for n in range(1, len(self._taken) + 2)
        )
        slug = next(candidate for candidate in candidates if candidate not in self._taken)
        self._taken.add(slug)
        return slug
