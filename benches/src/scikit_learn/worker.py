"""The other contestant, and weir's own Python package beside it: reads one command a line, does
it, answers with the CPU seconds that its process took.

Start-up, reading the rows and talking to weir-bench are outside the time that is told. CPU time
is that of all threads, because weir's package grows trees on another one.
"""

import sys
import time

import numpy as np

rows = None
forests = {}


def package(name):
    if name == "scikit-learn":
        import sklearn

        return sklearn
    import weir

    return weir


def new_forest(name, n_trees, max_samples, seed):
    if name == "scikit-learn":
        from sklearn.ensemble import IsolationForest
    else:
        from weir import IsolationForest
    return IsolationForest(
        n_estimators=n_trees, max_samples=max_samples, random_state=seed, n_jobs=1
    )


def timed(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


for line in sys.stdin:
    command, *arguments = line.rstrip("\n").split("\t")
    if command == "version":
        try:
            answer = package(arguments[0]).__version__
        except ImportError as error:
            print(error, file=sys.stderr)
            answer = "none"
    elif command == "rows":
        path, n_features = arguments
        rows = np.fromfile(path, dtype="<f4").reshape(-1, int(n_features))
        answer = len(rows)
    elif command == "fit":
        name, *numbers = arguments
        n_rows, *parameters = map(int, numbers)
        forests[name] = new_forest(name, *parameters)
        answer, _ = timed(lambda: forests[name].fit(rows[:n_rows]))
    elif command == "score":
        name, n_rows = arguments[0], int(arguments[1])
        answer, _ = timed(lambda: forests[name].score_samples(rows[:n_rows]))
    elif command == "score_each":
        name, n_rows = arguments[0], int(arguments[1])
        score = forests[name].score_samples
        answer, _ = timed(lambda: [score(rows[i : i + 1]) for i in range(n_rows)])
    else:
        sys.exit(f"unknown command {command!r}")
    print(answer, flush=True)
