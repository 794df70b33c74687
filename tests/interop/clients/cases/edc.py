"""All cases of edc-client: `python -m tests.interop.clients.cases.edc [TEXT]`, the nodes on standard input."""

import sys

from tests.interop.clients.cases import edc_exchanging, edc_offering
from tests.interop.clients.cases.edc_scene import Scene
from tests.interop.clients.cases.world import Backend, Nodes, run

MODULES = (edc_offering, edc_exchanging)

if __name__ == "__main__":
    sys.exit(run([module.case for module in MODULES], Scene(Nodes.read(), Backend())))
