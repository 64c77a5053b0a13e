// A form made of a model's example: one field for each column or input, as it is typed there.

import { h, tabs } from "./dom.js";
import { pictureUrl, soundUrl } from "./media.js";

/** `element`, and `read()`: the path and the body to send; throws an Error that says which field is wrong. */
export function requestForm(model) {
  let read = null;
  const makers = {};
  if (model.kind === "form") makers.Form = () => columns(model, (reader) => (read = reader));
  makers["V1 JSON"] = () => json(`v1/models/${encodeURIComponent(model.name)}:predict`, model.v1 ?? { instances: [] }, (reader) => (read = reader));
  if (model.v2) makers["V2 JSON"] = () => json(`v2/models/${encodeURIComponent(model.name)}/infer`, model.v2, (reader) => (read = reader));
  return { element: tabs("How to ask", makers), read: () => read() };
}

function json(path, example, ready) {
  const area = h("textarea", { class: "code", spellcheck: "false", "aria-label": "The request's body", value: JSON.stringify(example, null, 2) });
  ready(() => {
    try {
      return { path, body: JSON.parse(area.value) };
    } catch (error) {
      throw new Error(`The body is no JSON: ${error.message}`);
    }
  });
  return [h("div", { class: "quiet mono" }, `POST /${path}`), area];
}

function columns(model, ready) {
  const example = model.v1.instances[0];
  const single = typeof example !== "object" || example === null;
  const entries = single ? [[nameOf(example), example]] : Object.entries(example);
  const wide = entries.length < 3 && entries.some(([, value]) => typeof value === "string" && value.length > 24);
  const fields = entries.map(([name, value]) => field(name, value, wide));
  ready(() => {
    const values = fields.map(({ name, read }) => [name, read()]);
    const instance = single ? values[0][1] : Object.fromEntries(values);
    const rest = Object.fromEntries(Object.entries(model.v1).filter(([name]) => name !== "instances"));
    const chosen = Object.fromEntries(options.flatMap(({ name, read }) => (read() === null ? [] : [[name, read()]])));
    const parameters = Object.keys(chosen).length ? { parameters: { ...rest.parameters, ...chosen } } : {};
    return { path: `v1/models/${encodeURIComponent(model.name)}:predict`, body: { ...rest, ...parameters, instances: [instance] } };
  });
  const options = model.parameters.map(option);
  return [h("div", { class: `fields${wide ? " wide" : ""}` }, fields.map(({ element }) => element)),
    options.length ? h("details", {}, h("summary", {}, "Parameters"), h("div", { class: "fields" }, options.map(({ element }) => element))) : null];
}

/** What a value by itself is called. */
function nameOf(value) {
  return pictureUrl(value) ? "image" : soundUrl(value) ? "sound" : "text";
}

/** A field that keeps the kind of its example: number, text, true or false, a file in base64, or JSON. */
function field(name, value, wide) {
  const label = (input, note = null) => h("label", {}, h("span", {}, name), input, note);
  if (typeof value === "boolean") {
    const input = h("select", {}, h("option", {}, "true"), h("option", {}, "false"));
    input.value = String(value);
    return { name, element: label(input), read: () => input.value === "true" };
  }
  if (typeof value === "number" || value === null) {
    const input = h("input", { type: "text", inputmode: "decimal", value: value ?? "", placeholder: "missing" });
    return { name, element: label(input), read: () => number(name, input.value) };
  }
  if (pictureUrl(value) || soundUrl(value) || typeof value?.b64 === "string") return file(name, value);
  if (typeof value === "string") {
    const input = wide ? h("textarea", { value, rows: 3 }) : h("input", { type: "text", value });
    return { name, element: label(input), read: () => input.value };
  }
  const input = h("textarea", { spellcheck: "false", value: JSON.stringify(value) });
  return { name, element: label(input), read: () => parsed(name, input.value) };
}

/** A parameter that is left out unless something is chosen. */
function option({ name, kind, choices, meaning }) {
  const listed = kind === "bool" ? [true, false] : choices;
  const input = listed.length
    ? h("select", {}, h("option", { value: "" }, "as the model has it"), listed.map((each) => h("option", {}, String(each))))
    : h("input", { type: "text", placeholder: "as the model has it" });
  const read = () => {
    if (input.value === "") return null;
    if (listed.length) return listed.find((each) => String(each) === input.value);
    return kind === "str" ? input.value : number(name, input.value);
  };
  return { name, read, element: h("label", { title: meaning }, h("span", {}, name), input) };
}

/** A file's bytes in base64: as a text, or as {"b64": text}, whichever the example has. */
function file(name, value) {
  const bare = typeof value === "string";
  let b64 = bare ? value : value.b64;
  const [picture, sound] = [pictureUrl(b64), soundUrl(b64)];
  const preview = h("img", { class: "preview", alt: "What will be sent", src: picture, hidden: !picture });
  const player = h("audio", { controls: true, "aria-label": "What will be sent", src: sound, hidden: !sound });
  const input = h("input", { type: "file" });
  input.addEventListener("change", () => {
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      b64 = reader.result.split(",")[1];
      const kind = input.files[0].type;
      preview.hidden = !kind.startsWith("image/");
      player.hidden = !kind.startsWith("audio/");
      if (!preview.hidden) preview.src = reader.result;
      if (!player.hidden) player.src = reader.result;
    });
    if (input.files[0]) reader.readAsDataURL(input.files[0]);
  });
  return { name, element: h("label", {}, h("span", {}, `${name} (the example, or a file)`), input, preview, player), read: () => (bare ? b64 : { b64 }) };
}

function number(name, text) {
  if (text.trim() === "") return null;
  const value = Number(text.replace(",", "."));
  if (Number.isNaN(value)) throw new Error(`${name}: "${text}" is no number`);
  return value;
}

function parsed(name, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name}: this is no JSON`);
  }
}
