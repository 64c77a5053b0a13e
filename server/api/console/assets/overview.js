// All models in a table, and the server in five tiles.

import { spark } from "./charts.js";
import { h, put } from "./dom.js";
import { bytes, count, seconds } from "./format.js";
import { all, history } from "./history.js";

/** The view, and what brings it up to date. */
export function overviewView() {
  const tiles = h("section", { class: "tiles", "aria-label": "The server" });
  const rows = h("tbody");
  const filter = h("input", { type: "search", placeholder: "Filter by name, adapter or state", "aria-label": "Filter the models" });
  const empty = h("p", { class: "empty", hidden: true });
  const heads = ["Model", "State", "Adapter", "Requests/s", "", "p50", "p99", "Rows a call", "Errors", "Waiting", "Memory"];
  const table = h("table", { class: "models" }, h("caption", { class: "skip" }, "Models"),
    h("thead", {}, h("tr", {}, heads.map((head, index) =>
      h("th", { scope: "col", class: index > 2 ? "n" : "" }, head || h("span", { class: "skip" }, "Trend"))))), rows);
  const element = [h("h1", { class: "skip" }, "Models"), tiles,
    h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", {}, "Models"), h("span", { class: "grow" }), h("div", {}, filter)),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All models" }, table), empty)];
  let last = null;
  filter.addEventListener("input", () => last && update(last));
  function update(seen) {
    last = seen;
    put(tiles, tilesOf(seen));
    const wanted = filter.value.trim().toLowerCase();
    const shown = seen.models.filter((m) => `${m.name} ${m.adapter} ${m.state}`.toLowerCase().includes(wanted));
    put(rows, shown.map(rowOf));
    empty.hidden = shown.length > 0;
    empty.textContent = seen.models.length ? "No model fits the filter." : "There is no model yet: put a folder with one into the models' directory, and it appears here.";
  }
  return { element, update };
}

function tilesOf(seen) {
  const ready = seen.models.filter((model) => model.state === "READY").length;
  const failed = seen.models.filter((model) => model.state === "UNAVAILABLE").length;
  const now = seen.now;
  return [
    tile("Models ready", ready, `of ${seen.models.length}${failed ? `, ${failed} failed` : ""}`, h("div", { class: "share", "aria-hidden": "true" }, stateShares(seen.models))),
    tile("Requests/s", count(now?.rate ?? 0), `${count(sum(seen, "requests"))} so far`, spark(all, "rate")),
    tile("p99", seconds(now?.p99 ?? null), now?.p50 ? `median ${seconds(now.p50)}` : "no requests now", spark(all, "p99")),
    tile("Errors/s", count((now?.errors ?? 0) + (now?.refused ?? 0)), `${count(sum(seen, "server_errors"))} of ours, ${count(sum(seen, "client_errors"))} of clients`, spark(all, "failed")),
    tile("Memory", bytes(seen.server.memory), `models ${bytes(seen.models.reduce((all, m) => all + m.memory, 0))}`, spark(all, "memory", 1.6)),
  ];
}

/** How many models are in which state, as parts of a bar. */
function stateShares(models) {
  const counts = new Map();
  for (const model of models) counts.set(model.state, (counts.get(model.state) ?? 0) + 1);
  return ["READY", "LOADING", "UNLOADING", "EVICTED", "UNAVAILABLE"].filter((state) => counts.has(state)).map((state) => {
    const part = h("i", { class: state });
    part.style.flexGrow = counts.get(state);
    return part;
  });
}

function tile(title, number, note, extra = null) {
  return h("div", { class: "panel tile" }, h("h3", {}, title), h("div", { class: "number" }, number), h("div", { class: "quiet" }, note), extra);
}

function rowOf(model) {
  const { now } = model;
  const errors = model.server_errors + model.client_errors;
  const cell = (label, text) => h("td", { class: "n", "data-label": label }, text);
  return h("tr", {},
    h("td", { class: "first" },
      h("div", { class: "row" }, h("a", { class: "name", href: `#/${encodeURIComponent(model.name)}` }, model.name),
        model.versions.length > 1 ? h("span", { class: "chip" }, `${model.versions.length} versions`) : null),
      model.reason ? h("div", { class: "reason", title: model.reason }, model.reason) : null),
    h("td", { class: "state" }, h("span", { class: `pill ${model.state}` }, model.state)),
    h("td", { class: "wide-only" }, model.adapter ? h("span", { class: "chip" }, model.adapter) : null),
    cell("Requests/s", count(now?.rate ?? 0)),
    h("td", { class: "n wide-only" }, spark(history.get(model.name) ?? [], "rate")),
    cell("p50", seconds(now?.p50 ?? null)), cell("p99", seconds(now?.p99 ?? null)),
    cell("Rows a call", count(now?.batch ?? null)), cell("Errors", count(errors)),
    cell("Waiting", count(model.waiting)), cell("Memory", bytes(model.memory)));
}

function sum(seen, field) {
  return seen.models.reduce((total, model) => total + model[field], 0);
}
