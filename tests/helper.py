"""A module for `Helper`: it says which process it is, or dies."""

from __future__ import annotations

import os

from poets_edge.bench.processes import Answer, answer_all


def do(question: Answer) -> Answer:
    if question["number"] < 0:
        os._exit(3)
    return {"number": question["number"], "process": os.getpid()}


if __name__ == "__main__":
    answer_all(do)
