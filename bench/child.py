"""One measurement in a process of its own: `python -m bench.child '{"what": "working", ...}'` prints what it found as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from . import crowds, files, looking, settled, undoing, working
from .meter import Meter


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Measure what was asked for."""
    meter = Meter(asked["server"])
    folder, urls, size = Path(asked["folder"]), asked["urls"], int(asked["size"])
    match asked["what"]:
        case "working":
            found = working.work(meter, folder, urls, size)
        case "settled":
            found = settled.work(meter, folder, urls, size, cel=False)
        case "expressions":
            found = settled.work(meter, folder, urls, size, cel=True)
        case "files":
            found = files.work(meter, folder, urls, size)
        case "crowd":
            found = crowds.work(meter, folder, urls, size)
        case "looking":
            found = looking.work(meter, folder, urls, size)
        case "undoing":
            found = undoing.work(meter, folder, urls, size)
        case "members":
            found = undoing.members(meter, folder, urls, size)
        case other:
            raise ValueError(f"nothing is called {other}")
    return {"seconds": meter.seconds, **found}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
