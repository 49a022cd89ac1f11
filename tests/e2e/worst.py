# SPDX-License-Identifier: GPL-2.0-or-later
"""The requests that cost a daemon most."""
import json

# As many patterns as a filter may have: by tables, and by going back where an almost whole match ends.
WORST = ["*a" + "?" * 61 + "b*"] * 64 + ["*" + "a" * 60 + "b*"] * 64
# Each is as long as a line may be.
REFUSED = [json.dumps({"args": [part * (4000 // len(part))] * 16}) for part in ("[.", "[", "[\\]", "*[?", "[[:alpha:]")]
