"""A made-up audit of one run, a checkpoint of every verdict."""

import numpy as np

from dynamics.questions.audit import record

STEPS = np.array([0, 1, 2, 8])


def audited(weights_read: bool = False) -> record.Record:
    return record.Record(
        steps=STEPS,
        state=np.array([record.SOUND, record.CONVICTED, record.REMARK, record.UNSEEN]),
        faults=[
            record.Fault(2, "remark", "an outlier", False),
            record.Fault(1, "duplicate", "the weights of step <9>", True),
        ],
        fate="left out of every figure",
        weights_read=weights_read,
    )
