"""`--workers N`: N - 1 more processes that listen on the server's ports, beside the main one.

    client --> main process:  answers
    client --> front process: has a copy of the model --> answers
                              else                    --> hands the request to the main process

The main process alone finds, loads, swaps and unloads models, and holds what lives in worker processes; so there is
one truth, and nothing of it is held twice that need not be. A copy never answers while another model takes over its
name: it is withdrawn first, and its requests are handed on (`Fronts.change`). So all processes change at one moment.

HTTP requests are handed on over connections that belong to one client each, are made for it, and end with it: what a
client sends is never read as another's, whatever becomes of its requests. The first line of each, which the front
process writes, says who the client is (`preamble`); no header does.

    main process                                     front process
    fronts.py   who holds copies of what             process.py  its beginning and its end
    front.py    one of them, started again           server.py   its REST and gRPC servers
    holdings.py what that one has                    mirror.py   the copies, and who answers for which name
    link.py     questions and answers      <------>  talk.py     does as it is told
    inner.py    takes what is handed on    <------   forward.py, client.py, upstream.py, grpc_forward.py
                                                     http.py     the routes: a copy, or forward
"""
