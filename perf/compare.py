"""Medians and pairwise ratios of perf/compare: a line holds what A and B said, JSON behind JSON, with a tab between."""

import json
import statistics
import sys
import tomllib


def spread(values, digits):
    ordered = sorted(values)
    return f"{statistics.median(ordered):.{digits}f} ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})"


def main(pairs_path, budgets_path):
    with open(pairs_path, encoding="utf-8") as lines:
        pairs = [[json.loads(side) for side in line.split("\t")] for line in lines]
    with open(budgets_path, "rb") as file:
        allowed = tomllib.load(file)["compare"]["shard"]
    shard = lambda report: report["median_nanoseconds"]["shard"]
    for name, side in (("A", 0), ("B", 1)):
        reports = [pair[side] for pair in pairs]
        print(f"{name}      {spread(map(shard, reports), 1)} ns a packet; "
              f"/ naive, quick hash {spread((report['shard_to_naive_quick'] for report in reports), 2)}")
    ratios = [shard(b) / shard(a) for a, b in pairs]
    print(f"B / A  {spread(ratios, 3)}, at most {allowed} allowed (perf/budgets)")
    return 1 if statistics.median(ratios) > allowed else 0


sys.exit(main(*sys.argv[1:]))
