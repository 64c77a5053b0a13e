// An answer as people look at it: entities marked in their text, scores as bars, a label by its picture; JSON below it.

import { words } from "./api.js";
import { h } from "./dom.js";
import { seconds } from "./format.js";

/** What came back for a body. */
export function answerView(sent, got) {
  const failed = !got.ok;
  const told = `${got.status} · ${seconds(got.seconds)}`;
  const shown = got.parts ?? got.document;
  return h("div", { class: `answer stack${failed ? " failed" : ""}` },
    h("div", { class: "row" }, h("h3", {}, failed ? "Refused" : "Answer"), h("span", { class: "chip" }, told)),
    failed ? h("p", {}, words(got.document) ?? "") : pictured(sent, got.document),
    h("pre", { tabindex: "0", "aria-label": "The answer as JSON" }, typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
}

function pictured(sent, document) {
  const prediction = document?.predictions?.[0];
  const instance = sent?.instances?.[0];
  const entities = prediction?.entities ?? (isEntities(prediction) ? prediction : null);
  const text = typeof instance === "string" ? instance : Object.values(instance ?? {}).find((value) => typeof value === "string");
  if (entities && text) return marked(text, entities);
  const scores = scoresOf(prediction);
  if (scores) return bars(scores);
  if (["string", "number", "boolean"].includes(typeof prediction)) return h("p", { class: "number" }, String(prediction));
  return null;
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
function scoresOf(prediction) {
  if (!prediction || typeof prediction !== "object") return null;
  const list = Array.isArray(prediction) ? prediction : [prediction];
  if (list.every((each) => typeof each?.score === "number" && each.label !== undefined)) return list.map((each) => [String(each.label), each.score]);
  const entries = Array.isArray(prediction) ? prediction.map((value, index) => [String(index), value]) : Object.entries(prediction.scores ?? prediction.probabilities ?? prediction);
  const fits = entries.length > 1 && entries.length < 50 && entries.every(([, value]) => typeof value === "number" && value >= 0 && value <= 1);
  return fits ? entries : null;
}

function bars(scores) {
  const ordered = [...scores].sort((one, other) => other[1] - one[1]).slice(0, 12);
  return h("div", { class: "bars" }, ordered.flatMap(([label, score]) => [
    h("span", {}, label), h("meter", { min: 0, max: 1, value: String(score), "aria-label": label }), h("span", { class: "mono" }, `${(100 * score).toFixed(1)} %`)]));
}
