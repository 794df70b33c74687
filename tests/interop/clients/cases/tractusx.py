"""All cases of tractusx-sdk: `python -m tests.interop.clients.cases.tractusx [TEXT]`, the nodes on standard input."""

import logging
import sys

from tests.interop.clients.cases import (
    tractusx_exchanging,
    tractusx_finding,
    tractusx_offering,
)
from tests.interop.clients.cases.tractusx_scene import Scene, case
from tests.interop.clients.cases.world import Backend, Nodes

MODULES = (tractusx_offering, tractusx_finding, tractusx_exchanging)
"""Importing them has written down their cases, in this order."""

if __name__ == "__main__":
    logging.disable()  # the SDK logs what it then raises
    sys.exit(case.run(Scene(Nodes.read(), Backend()), *sys.argv[1:]))
