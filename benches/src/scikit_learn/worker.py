"""The other contestant: reads one command a line, does it, answers with the CPU seconds its
thread took.

Start-up, reading the rows and talking to weir-bench are outside the time that is told.
"""

import sys
import time

import numpy as np
from sklearn import __version__
from sklearn.ensemble import IsolationForest

rows = None
forest = None


def timed(work):
    start = time.thread_time()
    result = work()
    return time.thread_time() - start, result


for line in sys.stdin:
    command, *arguments = line.rstrip("\n").split("\t")
    if command == "version":
        answer = __version__
    elif command == "rows":
        path, n_features = arguments
        rows = np.fromfile(path, dtype="<f4").reshape(-1, int(n_features))
        answer = len(rows)
    elif command == "fit":
        n_rows, n_trees, max_samples, seed = map(int, arguments)
        forest = IsolationForest(
            n_estimators=n_trees, max_samples=max_samples, random_state=seed, n_jobs=1
        )
        answer, _ = timed(lambda: forest.fit(rows[:n_rows]))
    elif command == "score":
        n_rows = int(arguments[0])
        answer, _ = timed(lambda: forest.score_samples(rows[:n_rows]))
    elif command == "score_each":
        n_rows = int(arguments[0])
        answer, _ = timed(lambda: [forest.score_samples(rows[i : i + 1]) for i in range(n_rows)])
    else:
        sys.exit(f"unknown command {command!r}")
    print(answer, flush=True)
