"""The process of one run: ``python -m kinetics_assets.runs <order>``, as `WorkOrder` packs it.

It is forked by a nursery, dies with it, and has one of its own for its steps.
"""

from __future__ import annotations

import json
import sys

from kinetics_assets.runs.worker import WorkOrder, work

if __name__ == "__main__":
    sys.exit(0 if work(WorkOrder(**json.loads(sys.argv[1]))) else 1)
