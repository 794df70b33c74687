"""All cases of tractusx-sdk: `python -m tests.interop.clients.cases.tractusx [TEXT]`, the nodes on standard input."""

import logging
import sys

from tests.interop.clients.cases import (
    tractusx_errors,
    tractusx_exchanging,
    tractusx_finding,
    tractusx_offering,
    tractusx_tck,
    tractusx_twins,
)
from tests.interop.clients.cases.tractusx_scene import Scene
from tests.interop.clients.cases.world import Backend, Nodes, run

MODULES = (tractusx_offering, tractusx_finding, tractusx_exchanging, tractusx_twins, tractusx_tck, tractusx_errors)

if __name__ == "__main__":
    logging.disable()  # the SDK logs what it then raises
    sys.exit(run([module.case for module in MODULES], Scene(Nodes.read(), Backend())))
