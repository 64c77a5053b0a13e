"""Models from object stores, web servers, hubs and registries: `--model NAME=URI`, and KServe's `STORAGE_URI`.

    Source.fetch (a loader thread) --lines of JSON--> child: Fetch --> stores.look --> cache --> transfer --> archives

`uris` reads addresses, `stores` list and read, `transfer` brings files and checks them, `archives` unpacks, `cache`
keeps versions, `errors` says why not. Only `child` imports what stores need.
"""
