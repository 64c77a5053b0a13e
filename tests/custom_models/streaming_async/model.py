"""An asynchronous generator, with hooks around it: `postprocess` is given the generator, and wraps it."""

import asyncio

from kserve import Model


class StreamingAsync(Model):
    async def preprocess(self, payload, headers=None):
        return [2 * instance for instance in payload["instances"]]

    async def predict(self, payload, headers=None):
        for value in payload:
            await asyncio.sleep(0)
            yield value

    async def postprocess(self, result, headers=None):
        return ({"prediction": value} async for value in result)
