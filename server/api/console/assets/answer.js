// An answer as people look at it: entities marked in their text, scores as bars, a label by its picture; JSON below it.

import { words } from "./api.js";
import { h } from "./dom.js";
import { seconds } from "./format.js";
import { pictureUrl } from "./media.js";

/** What came back for a body; `labels` are what the model's classes are called. */
export function answerView(sent, got, labels = []) {
  const failed = !got.ok;
  const told = `${got.status} · ${seconds(got.seconds)}`;
  const shown = got.parts ?? got.document;
  return h("div", { class: `answer stack${failed ? " failed" : ""}` },
    h("div", { class: "row" }, h("h3", {}, failed ? "Refused" : "Answer"), h("span", { class: "chip" }, told)),
    failed ? h("p", {}, words(got.document) ?? "") : pictured(sent, got.document, labels),
    h("pre", { tabindex: "0", "aria-label": "The answer as JSON" }, typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
}

function pictured(sent, document, labels) {
  const prediction = document?.predictions?.[0] ?? firstOf(document?.outputs);
  const instance = sent?.instances?.[0];
  const values = instance && typeof instance === "object" ? Object.values(instance) : [instance];
  const picture = values.map(pictureUrl).find(Boolean);
  const image = picture ? h("img", { class: "preview", alt: "What was sent", src: picture }) : null;
  const entities = prediction?.entities ?? (isEntities(prediction) ? prediction : null);
  const text = values.find((value) => typeof value === "string");
  if (entities && text) return marked(text, entities);
  const scores = scoresOf(prediction, labels);
  if (scores) return h("div", { class: image ? "pictured" : "" }, image, bars(scores));
  const told = prediction?.text ?? prediction?.generated_text ?? prediction?.answer;
  if (typeof told === "string") return [image, h("p", { class: "marked" }, told || "(no words)")];
  if (["string", "number", "boolean"].includes(typeof prediction)) return [image, h("p", { class: "number" }, String(prediction))];
  return image;
}

/** The first row of V2's only output, as V1 would answer it. */
function firstOf(outputs) {
  if (outputs?.length !== 1) return null;
  const [{ data, shape }] = outputs;
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  return shape.length > 1 && width > 1 ? data?.slice(0, width) : data?.[0];
}

function isEntities(value) {
  return Array.isArray(value) && value.length > 0 && value.every((each) => each && typeof each === "object" && (each.entity || each.entity_group || each.label) && (each.word || each.text));
}

/** Each entity where it stands, or where its words are found next. */
function marked(text, entities) {
  const kinds = [...new Set(entities.map(kindOf))];
  const found = [];
  let from = 0;
  for (const entity of entities) {
    const start = entity.start ?? entity.start_char ?? text.indexOf(entity.text ?? entity.word, from);
    if (start < from) continue;
    const end = entity.end ?? entity.end_char ?? start + (entity.text ?? entity.word).length;
    found.push(text.slice(from, start), h("mark", { class: `m${1 + (kinds.indexOf(kindOf(entity)) % 5)}` }, text.slice(start, end), h("b", {}, kindOf(entity))));
    from = end;
  }
  return h("p", { class: "marked" }, found, text.slice(from));
}

function kindOf(entity) {
  return entity.label ?? entity.entity_group ?? entity.entity;
}

/** Labels and scores, however they are told: [{label, score}], {label: number}, a list of probabilities. */
function scoresOf(prediction, labels) {
  if (!prediction || typeof prediction !== "object") return null;
  const list = Array.isArray(prediction) ? prediction : [prediction];
  if (list.every((each) => typeof each?.score === "number" && each.label !== undefined)) return list.map((each) => [String(each.label), each.score]);
  const entries = Array.isArray(prediction) ? prediction.map((value, index) => [String(labels.length === prediction.length ? labels[index] : index), value]) : Object.entries(prediction.scores ?? prediction.probabilities ?? prediction);
  const fits = entries.length > 1 && entries.length < 50 && entries.every(([, value]) => typeof value === "number" && value >= 0 && value <= 1);
  return fits ? entries : null;
}

function bars(scores) {
  const ordered = [...scores].sort((one, other) => other[1] - one[1]).slice(0, 12);
  return h("div", { class: "bars" }, ordered.flatMap(([label, score]) => [
    h("span", {}, label), h("meter", { min: 0, max: 1, value: String(score), "aria-label": label }), h("span", { class: "mono" }, `${(100 * score).toFixed(1)} %`)]));
}
