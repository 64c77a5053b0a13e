"""`polyserve COMMAND`: what people ask of a folder of models, or of a running server, from a shell.

`commands` is the table of commands; `main` finds the one that is meant. Each command is a module of its own, imported
when it is called for, which prints through `screen`. Nothing here is on the way of a request.
"""
