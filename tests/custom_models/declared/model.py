"""Says what it takes and gives; prints; streams."""

from kserve import Model


class Declared(Model):
    def get_input_types(self):
        return [{"name": "text", "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self):
        return [{"name": "words", "datatype": "INT64", "shape": [-1, 1]}]

    async def predict(self, payload, headers=None):
        print("counting", len(payload["instances"]), "texts")

        async def words():
            for text in payload["instances"]:
                yield f"{len(text.split())}\n"

        return words()
