# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of execsnoopctl share: its path, and TAP. These need no daemon; those in tests/e2e have one (e2e.py)."""
import os
import sys
import traceback

CTL = os.path.abspath(os.path.join(os.environ.get("builddir", "."), "src", "execsnoopctl"))


class Skip(Exception):
    pass


def main(cases):
    """(name, function) of each; ends the program. The arguments name some of the cases."""
    chosen = [(name, function) for name, function in cases if not sys.argv[1:] or name in sys.argv[1:]]
    failed = 0
    print(f"1..{len(chosen)}")
    for number, (name, function) in enumerate(chosen, 1):
        result, skipped = "ok", ""
        try:
            function()
        except Skip as skip:
            skipped = f" # SKIP {skip}"
        except Exception:  # pylint: disable=broad-except
            failed += 1
            result = "not ok"
            print("# " + traceback.format_exc()[-3000:].rstrip().replace("\n", "\n# "))
        print(f"{result} {number} - {name.replace('#', '')}{skipped}", flush=True)
    sys.exit(failed > 0)
