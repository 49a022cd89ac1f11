#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the daemon costs, by figures that come from one run on one machine: loads run with and without it in turns, and
ratios are printed with their spread. See doc/performance.md.

  bench.py [--quick] [--json FILE] [--rebase] [FIGURE...]

--quick: small loads, a round each; to see that it works. --rebase: writes baseline.json from this run.
Status 1: a figure is worse than the baseline by more than its tolerance, or events were lost.
"""
import argparse
import inspect
import json
import os
import sys

import contest
import figures


# The limits that the project has set itself: (figure, most, unit).
LIMITS = {
    "spawn wall, with daemon": 1.06,
    "probe time a life": 5.0,
    "probe time / libbpf-tools": 0.25,
    "daemon CPU an event, user, 1 subscriber": 4.0,
    "a further subscriber, user": 0.4,
    "pipeline, an event": 2.0,
    "lost at the highest rate": 0,
    "resident, idle": 8.0,
    "resident, each process": 2.0,
    "late, an exec, median / a spawn": 1,
    "late, an exec, 99.9 % / a spawn": 10,
    "ready after": 300,
    "wake-ups, idle": 1,
    "lost in the big one": 0,
    "log -o json / journalctl -o json": 1,
    "show: wall": 0.2,
    "tree: wall": 5,
    "tree: memory": 300,
}
BASELINE = os.path.join(contest.HERE, "baseline.json")


def show(name, figure):
    line = "%-46s %10.3f %-9s" % (name, figure["median"], figure["unit"])
    if figure["n"] > 1:
        line += " [%.3f .. %.3f] of %d" % (figure["low"], figure["high"], figure["n"])
    if name in LIMITS:
        line += "   limit %g: %s" % (LIMITS[name], "holds" if figure["median"] <= LIMITS[name] else "MISSED")
    print(line, flush=True)


def worse(found, baseline):
    """What is worse than it was: one line each."""
    lines = []
    for name, was in baseline.items():
        if name in found and found[name]["median"] > was["value"] * (1 + was["tolerance"]):
            lines.append("%s: %.3f, was %.3f" % (name, found[name]["median"], was["value"]))
    return lines


def rebase(found):
    """Relative figures only: others say more of the machine than of the program."""
    with open(BASELINE) as f:
        old = json.load(f)
    new = {name: {"value": round(figure["median"], 3), "tolerance": old.get(name, {}).get("tolerance", 0.15)}
           for name, figure in found.items() if figure["unit"] == "times" and "with daemon" in name or figure.get("relative")}
    with open(BASELINE, "w") as f:
        json.dump({**old, **new}, f, indent=1, sort_keys=True)
        f.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--rebase", action="store_true")
    parser.add_argument("figures", nargs="*", help="of: " + ", ".join(figures.ALL))
    args = parser.parse_args()
    unknown = set(args.figures) - set(figures.ALL)
    if unknown:
        parser.error("no such figure: " + ", ".join(sorted(unknown)))
    reason = contest.e2e.why_not()
    found, skipped = {}, []
    for name, figure in figures.ALL.items():
        if args.figures and name not in args.figures:
            continue
        if reason and name not in ("micro", "ctl"):
            skipped.append(name)
            continue
        print("\n%s: %s" % (name, inspect.getdoc(figure).replace("\n", " ")), flush=True)
        for key, value in figure(args.quick):
            found[key] = value
            show(key, value)
    if skipped:
        print("\nleft out: %s (%s)" % (", ".join(skipped), reason))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(found, f, indent=1)
            f.write("\n")
    if args.rebase:
        rebase(found)
    if args.quick:
        return 0
    with open(BASELINE) as f:
        lines = worse(found, json.load(f))
    lines += ["%s: %d" % (k, v["median"]) for k, v in found.items() if k.startswith("lost") and v["median"] > 0]
    for line in lines:
        print("WORSE: " + line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
