"""Every hook a coroutine, `load` too, which starts a task that must still run when requests come."""

import asyncio

from kserve import Model


class Asynchronous(Model):
    async def load(self):
        self.jobs = asyncio.Queue()
        self.worker = asyncio.create_task(self.work())
        self.at_once = self.most = 0

    async def work(self):
        while True:
            instances, done = await self.jobs.get()
            done.set_result([instance + 1 for instance in instances])

    async def preprocess(self, payload, headers=None):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        while self.most < payload.get("until", 0):  # so many are here together
            await asyncio.sleep(0.005)
        return payload

    async def predict(self, payload, headers=None):
        done = asyncio.get_running_loop().create_future()
        await self.jobs.put((payload["instances"], done))
        return {"predictions": await done, "most": self.most}

    async def postprocess(self, result, headers=None):
        self.at_once -= 1
        return result

    async def explain(self, payload, headers=None):
        return {"explanations": len(payload["instances"])}
