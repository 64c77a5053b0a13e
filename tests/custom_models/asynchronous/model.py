"""Every hook a coroutine, `load` too; a lock made while loading must belong to the loop that answers."""

import asyncio

from kserve import Model


class Asynchronous(Model):
    async def load(self):
        self.lock = asyncio.Lock()
        async with self.lock:
            await asyncio.sleep(0)
        self.at_once = self.most = 0

    async def preprocess(self, payload, headers=None):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(payload.get("seconds", 0))
        return payload

    async def predict(self, payload, headers=None):
        async with self.lock:
            await asyncio.sleep(0.001)
        return {"predictions": payload["instances"], "most": self.most}

    async def postprocess(self, result, headers=None):
        self.at_once -= 1
        return result

    async def explain(self, payload, headers=None):
        return {"explanations": len(payload["instances"])}
