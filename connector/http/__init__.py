"""HTTP: the listeners with their API surfaces, and the one client through which everything leaves.

A surface brings its routes and the form of its errors; the rest is here:

    def render(request: web.Request, error: ConnectorError) -> web.Response:
        status = error.status if isinstance(error, PeerError | LocalError) else 500
        return web.json_response({"code": str(status), "reason": [error.reason]}, status=status)

    async def receive(request: web.Request) -> web.StreamResponse:
        message = ContractRequestMessage.parse(await read_json(request))    # PeerError: answered by render
        negotiation = await open_negotiation(request.app[STORE], message)
        response = web.json_response(negotiation.view(), status=201)
        await finish_response(request, response)                            # the answer has left
        request.app[WAKE]()                                                 # now our own message may go
        return response

    app = application(render)                                               # correlation id, errors, limits
    app[STORE] = store                                                      # STORE = web.AppKey("store", Store)
    app.add_routes([web.post("/negotiations/request", receive)])

    root = web.Application()
    root.add_subapp("/api/v1/dsp", app)
    listener = await serve(root, "127.0.0.1", 8080, tls=Reloader(cert, key).context)

Modules: `guard` and `client` for what goes out, `server`, `body`, `middleware` and `tls` for what comes in.
"""
