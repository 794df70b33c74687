"""Times the requests to a listener, by the template of the route: never by a path, which is anybody's choice."""

import time
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.metrics import Metrics

NO_ROUTE = "none"


def timed(metrics: Metrics, surface: str, others: Mapping[str, str] | None = None) -> Middleware:
    """The outermost middleware of a listener's root application.

    surface: what is served there; others: the surfaces mounted below it, by the beginning of their paths.
    """

    def surface_of(path: str) -> str:
        for start, name in mounted:
            if path.startswith(start):
                return name
        return surface

    mounted = tuple((others or {}).items())

    @web.middleware
    async def time_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, status = time.perf_counter(), "broken"
        try:
            response = await handler(request)
            status = f"{response.status // 100}xx"
            return response
        finally:
            resource = request.match_info.route.resource
            if resource is None:
                where, method, route = surface_of(request.path), "other", NO_ROUTE
            else:
                route = resource.canonical
                where, method = surface_of(route), request.method
            metrics.observe("connector_http_request_seconds", time.perf_counter() - began, where, method, route, status)

    return time_requests
