"""tractusx-sdk when it does not work out: which exception the caller gets, and that no data comes."""

import os
import signal

import requests
from tractusx_sdk.dataspace.managers.connection.memory import MemoryConnectionManager
from tractusx_sdk.dataspace.models.connector.model_factory import ModelFactory

from tests.interop.clients.cases.tractusx_exchanging import agree, pulled, start, state
from tests.interop.clients.cases.tractusx_scene import CONTEXT, FAST, OPEN, VERSION, Scene, case, service
from tests.interop.clients.cases.world import DATA, dead_address, raises, same, until
