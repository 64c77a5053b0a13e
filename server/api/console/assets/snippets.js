// The same request from a shell and from Python.

import { h, tabs } from "./dom.js";

const KEY = 'f"Bearer {os.environ[\'API_KEY\']}"';

/** Tabs with code for a request: the path (without a slash in front) and the body. A server that asks for keys is given
 * one of the environment: no key is shown, and none is copied into a chat. */
export function snippets(model, path, body) {
  const base = new URL(".", location.href).href;
  const { keyed } = model;
  const imports = keyed ? "import os\n\n" : "";
  const makers = {
    curl: () => code(`curl ${base}${path} \\\n  -H 'content-type: application/json' \\\n${keyed ? '  -H "authorization: Bearer $API_KEY" \\\n' : ""}  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`),
    Python: () => code(`${imports}import httpx\n\nanswer = httpx.post(\n    "${base}${path}",\n    json=${python(body)},\n${keyed ? `    headers={"authorization": ${KEY}},\n` : ""})\nprint(answer.raise_for_status().${model.kind === "stream" ? "text" : "json()"})`),
  };
  if (model.kind === "chat") {
    makers.openai = () => code(`${imports}from openai import OpenAI\n\nclient = OpenAI(base_url="${base}openai/v1", api_key=${keyed ? 'os.environ["API_KEY"]' : '"none"'})\nanswer = client.chat.completions.create(\n    model=${python(model.name)},\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)`);
  } else if (model.v2 && model.grpc_port) {
    makers.gRPC = () => code(`${imports}import numpy as np\nimport tritonclient.grpc as grpc  # pip install tritonclient[grpc]\n\nclient = grpc.InferenceServerClient("${location.hostname}:${model.grpc_port}")\n${inputs(model.v2)}\nprint(client.infer(${python(model.name)}, inputs${keyed ? `, headers={"authorization": ${KEY}}` : ""}).get_response())`);
  }
  return tabs("Code", makers);
}

function code(text) {
  const shown = h("pre", { tabindex: "0" }, text);
  const button = h("button", { type: "button", class: "plain", onclick: () => copied(shown).then(() => (button.textContent = "Copied")) }, "Copy");
  return [shown, h("div", {}, button)];
}

/** Put a text where it can be pasted from; browsers have a clipboard for pages of this machine and of https alone. */
async function copied(shown) {
  if (navigator.clipboard) return navigator.clipboard.writeText(shown.textContent);
  getSelection().selectAllChildren(shown);
  document.execCommand("copy");
}

/** A value as Python writes it. */
export function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const NUMPY = { BOOL: "bool", BYTES: "object", FP16: "float16", FP32: "float32", FP64: "float64" };

function inputs(v2) {
  const lines = v2.inputs.map(({ name, shape, datatype, data }) => {
    const dtype = NUMPY[datatype] ?? datatype.toLowerCase();
    return `tensor = grpc.InferInput(${python(name)}, ${python(shape)}, ${python(datatype)})\ntensor.set_data_from_numpy(np.array(${python(data)}, dtype="${dtype}").reshape(${python(shape)}))\ninputs.append(tensor)`;
  });
  return `inputs = []\n${lines.join("\n")}`;
}
