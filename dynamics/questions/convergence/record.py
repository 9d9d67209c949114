"""The data set of one work unit on convergence: predictions of the next token by all seeds.

Its form is that of every comparison of seeds token by token, `questions.seed_record`.
"""

from dynamics.questions.seed_record import Record, from_dataset, to_dataset

__all__ = ["MEASURE", "Record", "from_dataset", "to_dataset"]

MEASURE = "convergence"
