"""`--workers N`: N - 1 more processes that listen on the server's ports, beside the main one.

    client --> main process:  answers
    client --> front process: has a copy of the model --> answers
                              else                    --> hands the request to the main process

The main process alone finds, loads, swaps and unloads models, and holds what lives in worker processes; so there is
one truth, and nothing of it is held twice that need not be. A copy never answers while another model takes over its
name: it is withdrawn first, and its requests are handed on (`FrontendManager.change`). So all processes change at one
moment.

HTTP requests are handed on over connections that belong to one client each, are made for it, and end with it: what a
client sends is never read as another's, whatever becomes of its requests. The first line of each, which the front
process writes, says who the client is (`proxy_protocol`); no header does. An answer is passed on part by part, as it
comes; a client that hangs up ends the connection that was made for it.

    main process                                                 front process
    manager            who should hold copies of what            frontend_main      its beginning and its end
    frontend           one process, started again when it ends   frontend_server    its REST and gRPC servers
    frontend_copies    what that one holds                       copy_repository    the copies, and who answers for what
    control_client     requests, and their answers     <------>  control_server     does what is requested
    internal_listener  takes what is handed on over HTTP <-----  http_proxy         the routes: a copy, or
                                                                 forwarding         the main process, over
                                                                 upstream_pool      one client's connections, each
                                                                 http_client        a request at a time
    (api.grpc.service) the same over gRPC              <-------  grpc_proxy         both, for gRPC
"""
