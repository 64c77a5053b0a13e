// All models in a table, and the server in five tiles.

import { spark } from "./charts.js";
import { h, renew } from "./dom.js";
import { bytes, count, seconds } from "./format.js";
import { all, history, memoryOf, ofProcesses } from "./history.js";

const STATES = ["READY", "LOADING", "UNLOADING", "EVICTED", "UNAVAILABLE"];
const errorsOf = (model) => model.server_errors + model.client_errors;
const words = (text) => (one, other) => text(one).localeCompare(text(other));
const most = (number) => (one, other) => (number(one) ?? -1) - (number(other) ?? -1);
/** The columns: what they are called, and their order upwards. Words begin with the first, numbers with the most. */
const COLUMNS = [
  ["Model", words((model) => model.name)],
  ["State", most((model) => STATES.indexOf(model.state))],
  ["Adapter", words((model) => model.adapter)],
  ["Requests/s", most((model) => model.now?.rate)],
  ["", null],
  ["p50", most((model) => model.now?.p50)],
  ["p99", most((model) => model.now?.p99)],
  ["Rows a call", most((model) => model.now?.batch)],
  ["Errors", most(errorsOf)],
  ["Waiting", most((model) => model.waiting)],
  ["Memory", most((model) => model.memory)],
];
const UPWARDS = new Set(["Model", "Adapter"]);
const kept = { filter: "", by: "Model", up: true }; // over views: whoever comes back finds the table as it was

/** The view, and what brings it up to date. */
export function overviewView() {
  const tiles = h("section", { class: "tiles", "aria-label": "The server" });
  const rows = h("tbody");
  const filter = h("input", { type: "search", placeholder: "Filter by name, adapter, state, reason", "aria-label": "Filter the models", value: kept.filter });
  const shownOf = h("span", { class: "quiet", role: "status" });
  const empty = h("p", { class: "empty", hidden: true });
  const order = h("select", { class: "narrow-only", "aria-label": "Sort by", onchange: () => sortBy(order.value, UPWARDS.has(order.value)) },
    COLUMNS.filter(([, first]) => first).map(([name]) => h("option", { value: name }, `Sort by ${name.toLowerCase()}`)));
  const heads = new Map();
  const table = h("table", { class: "models" }, h("caption", { class: "skip" }, "Models"),
    h("thead", {}, h("tr", {}, COLUMNS.map(([name, first], index) => {
      const head = h("th", { scope: "col", class: index > 2 ? "n" : "" }, first
        ? h("button", { type: "button", class: "sort", onclick: () => sortBy(name, kept.by === name ? !kept.up : UPWARDS.has(name)) }, name)
        : h("span", { class: "skip" }, "Trend"));
      if (first) heads.set(name, head);
      return head;
    }))), rows);
  const element = [h("h1", { class: "skip" }, "Models"), tiles,
    h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", {}, "Models"), shownOf, h("span", { class: "grow" }), order, h("div", { class: "find" }, filter)),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All models" }, table), empty)];
  const drawn = new Map(); // what each row was made of
  let last = null;
  filter.addEventListener("input", () => filterBy(filter.value));
  tiles.addEventListener("click", (event) => {
    const wanted = event.target.closest("[data-filter]")?.dataset.filter;
    if (wanted) filterBy(kept.filter === wanted ? "" : wanted);
  });

  function filterBy(text) {
    kept.filter = filter.value = text;
    if (last) update(last);
  }

  function sortBy(name, up) {
    Object.assign(kept, { by: name, up });
    tellOrder();
    if (last) update(last);
  }

  function tellOrder() {
    order.value = kept.by;
    for (const [name, head] of heads) {
      if (name === kept.by) head.setAttribute("aria-sort", kept.up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  function update(seen) {
    last = seen;
    renew(tiles, tilesOf(seen));
    const shown = chosen(seen.models);
    const there = new Map([...rows.children].map((row) => [row.dataset.key, row]));
    renew(rows, shown.map((model) => {
      const row = there.get(model.name);
      const stamp = stampOf(model, seen.clock);
      if (row && drawn.get(model.name) === stamp) return row;
      drawn.set(model.name, stamp);
      return rowOf(model);
    }));
    shownOf.textContent = shown.length < seen.models.length ? `${shown.length} of ${seen.models.length}` : "";
    empty.hidden = shown.length > 0;
    empty.textContent = seen.models.length ? "No model fits the filter." : "There is no model yet: put a folder with one into the models' directory, and it appears here.";
  }

  tellOrder();
  return { element, update };
}

/** Two rows of the same stamp look alike: of hundreds of models most have nothing new to show. */
function stampOf(model, clock) {
  const moving = history.get(model.name)?.slice(-61).some((sample) => sample.rate);
  return JSON.stringify([moving ? clock : 0, model.state, model.adapter, model.reason, model.versions.length, model.requests, errorsOf(model), model.waiting, model.memory]);
}

/** The models that fit the filter, in the order that is wanted; by name where that leaves it open. */
function chosen(models) {
  const wanted = kept.filter.trim().toLowerCase();
  const order = COLUMNS.find(([name]) => name === kept.by)[1];
  return models.filter((model) => `${model.name} ${model.adapter} ${model.state} ${model.reason}`.toLowerCase().includes(wanted))
    .sort((one, other) => (kept.up ? order(one, other) : order(other, one)));
}

function tilesOf(seen) {
  const ready = seen.models.filter((model) => model.state === "READY").length;
  const failed = seen.models.filter((model) => model.state === "UNAVAILABLE").length;
  const now = seen.now;
  return [
    tile("Models ready", ready, [`of ${seen.models.length}${failed ? ", " : ""}`, failed ? h("button", { type: "button", class: "link", "data-filter": "unavailable", title: "Show those that failed" }, `${failed} failed`) : null], h("div", { class: "share", "aria-hidden": "true" }, stateShares(seen.models))),
    tile("Requests/s", count(now?.rate ?? 0), `${count(sum(seen, "requests"))} so far`, spark(all, "rate")),
    tile("p99", seconds(now?.p99 ?? null), now?.p50 ? `median ${seconds(now.p50)}` : "no requests now", spark(all, "p99")),
    tile("Errors/s", count((now?.errors ?? 0) + (now?.refused ?? 0)), `4xx: ${count(sum(seen, "client_errors"))}, 5xx: ${count(sum(seen, "server_errors"))}`, spark(all, "failed")),
    tile("Memory", bytes(memoryOf(seen)), ofProcesses(seen) ? `workers ${bytes(ofProcesses(seen))}` : `models ${bytes(sum(seen, "memory"))}`, spark(all, "memory", 1.6)),
  ];
}

/** How many models are in which state, as parts of a bar. */
function stateShares(models) {
  const counts = new Map();
  for (const model of models) counts.set(model.state, (counts.get(model.state) ?? 0) + 1);
  return STATES.filter((state) => counts.has(state)).map((state) => {
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
  const cell = (label, text, kind = "") => h("td", { class: `n${["0", "–"].includes(text) ? " nothing" : kind}`, "data-label": label }, text);
  return h("tr", { "data-key": model.name, class: model.state === "UNAVAILABLE" && !model.requests ? "never" : null },
    h("td", { class: "first" },
      h("div", { class: "row" }, h("a", { class: "name", href: `#/${encodeURIComponent(model.name)}` }, model.name),
        model.versions.length > 1 ? h("span", { class: "chip" }, `${model.versions.length} versions`) : null),
      model.reason ? h("div", { class: "reason", title: model.reason }, model.reason) : null),
    h("td", { class: "state" }, h("span", { class: `pill ${model.state}` }, model.state)),
    h("td", { class: "wide-only" }, model.adapter ? h("span", { class: "chip" }, model.adapter) : null),
    cell("Requests/s", count(now?.rate ?? 0)),
    h("td", { class: "n wide-only" }, spark(history.get(model.name) ?? [], "rate")),
    cell("p50", seconds(now?.p50 ?? null)), cell("p99", seconds(now?.p99 ?? null)),
    cell("Rows a call", count(now?.batch ?? null)), cell("Errors", count(errorsOf(model)), model.server_errors ? " bad" : ""),
    cell("Waiting", count(model.waiting)), cell("Memory", bytes(model.memory)));
}

function sum(seen, field) {
  return seen.models.reduce((total, model) => total + model[field], 0);
}
