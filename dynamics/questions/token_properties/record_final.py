"""The data set of predictions at the last step of the runs, where the steps measured end sooner.

Final surprisal is that of the last checkpoint, whichever steps are compared. Its form is that of
every comparison of seeds token by token, `questions.seed_record`.
"""

from dynamics.questions.seed_record import Record, from_dataset, to_dataset

__all__ = ["MEASURE", "Record", "from_dataset", "to_dataset"]

MEASURE = "final_surprisal"
