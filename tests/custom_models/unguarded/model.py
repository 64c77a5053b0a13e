"""Starts the server without asking whether it is the script; what follows never runs under KServe."""

import argparse

from kserve import Model, ModelServer, model_server

parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--greeting", default="hello")
args, _ = parser.parse_known_args()


class Unguarded(Model):
    def __init__(self, name: str, greeting: str):
        super().__init__(name)
        self.greeting = greeting
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [f"{self.greeting}, {instance}" for instance in payload["instances"]]}


ModelServer().start([Unguarded(args.model_name, greeting=args.greeting)])
raise RuntimeError("the server has stopped")
