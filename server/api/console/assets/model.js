// One model: how it does, what it takes, and a request that works.

import { answerView } from "./answer.js";
import { get, post, words } from "./api.js";
import { chart } from "./charts.js";
import { chatView } from "./chat.js";
import { h, put, renew } from "./dom.js";
import { requestForm } from "./form.js";
import { bytes, count, seconds } from "./format.js";
import { history } from "./history.js";
import { snippets } from "./snippets.js";

/** The view of one model, and what brings it up to date. */
export function modelView(name) {
  const head = h("section", { class: "stack" });
  const charts = h("section", { class: "charts", "aria-label": "The last minutes" });
  const facts = h("section", { class: "panel stack" });
  const ask = h("section", { class: "panel stack" });
  const log = logView(name);
  let shown = ""; // of which state and version the form is

  function update(seen) {
    const model = seen.models.find((each) => each.name === name);
    if (!model) {
      put(head, h("h1", {}, name), h("p", { class: "empty" }, "There is no such model."), h("a", { href: "#/" }, "All models"));
      for (const part of [charts, facts, ask, log]) part.hidden = true;
      return;
    }
    renew(head, headOf(model));
    charts.hidden = model.state === "UNAVAILABLE" && !model.requests;
    renew(charts, chartsOf(model));
    for (const each of model.versions) renew(facts.querySelector(`[data-shadow="${each.version}"]`) ?? h("div"), compared(each));
    const stamp = JSON.stringify([model.state, model.versions.map((each) => [each.version, each.state, each.shadow]), model.swaps]);
    if (stamp === shown) return;
    shown = stamp;
    showFacts(model);
    ask.hidden = !["READY", "EVICTED"].includes(model.state);
    if (!ask.hidden) fill();
  }

  async function fill() {
    try {
      const model = await get(`console/models/${encodeURIComponent(name)}`);
      put(ask, askView(model));
      put(facts.querySelector(".signature"), signature(model));
    } catch (error) {
      put(ask, h("p", { class: "reason whole" }, error.message));
    }
  }

  function showFacts(model) {
    const told = h("p", { role: "status", class: "quiet" });
    const act = (label, verb, kind) => h("button", { type: "button", class: kind, onclick: () => change(verb, told) }, label);
    const loaded = model.state === "READY";
    const beside = model.versions.filter((each) => each.shadow && each.state === "READY");
    put(facts, h("h2", {}, "What it is"), versions(model),
      beside.map((each) => h("div", { class: "stack", "data-shadow": each.version }, compared(each))),
      h("div", { class: "signature stack" }),
      h("div", { class: "row" }, act(loaded ? "Reload" : "Load", "load", "plain"), loaded ? act("Unload", "unload", "plain danger") : null,
        beside.length ? act(`Promote version ${beside.at(-1).version}`, "promote", "") : null), told);
  }

  async function change(verb, told) {
    if (verb === "unload" && !confirm(`Unload ${name}? Nobody is answered by it until it is loaded again.`)) return;
    told.textContent = `${verb} …`;
    const got = await post(`v2/repository/models/${encodeURIComponent(name)}/${verb}`, {}).catch((error) => ({ ok: false, document: { error: error.message } }));
    told.textContent = got.ok ? `${verb}: done` : words(got.document);
  }

  return { element: [head, charts, h("div", { class: "columns" }, ask, facts), log], update };
}

function headOf(model) {
  return [
    h("nav", { "aria-label": "Where you are" }, h("a", { href: "#/" }, "Models"), h("span", { class: "quiet" }, ` / ${model.name}`)),
    h("div", { class: "row" }, h("h1", {}, model.name), h("span", { class: `pill ${model.state}` }, model.state), model.adapter ? h("span", { class: "chip" }, model.adapter) : null),
    model.reason ? h("div", { class: "reason whole", role: "note" }, model.reason) : null,
  ];
}

function chartsOf(model) {
  const samples = history.get(model.name) ?? [];
  const found = [
    chart("Requests/s", samples, { "": "rate" }, count),
    chart("Latency", samples, { p50: "p50", p99: "p99" }, seconds),
    chart("Errors/s", samples, { "4xx": "refused", "5xx": "errors" }, count),
  ];
  if (model.tokens !== null) return [...found, chart("Tokens/s", samples, { "": "tokens" }, count)];
  return [...found, model.calls ? chart("Rows in one call", samples, { "": "batch" }, count) : chart("Waiting requests", samples, { "": "waiting" }, count)];
}

function versions(model) {
  const rows = model.versions.map((each) => h("tr", {}, h("td", {}, each.version || "–", each.shadow ? [" ", h("span", { class: "chip" }, "shadow")] : null), h("td", {}, h("span", { class: `pill ${each.state}` }, each.state)),
    h("td", { class: "n" }, bytes(each.memory)), h("td", { class: "n" }, each.seconds ? seconds(each.seconds) : "–"), h("td", { class: "n" }, each.state !== "READY" ? "–" : each.own_process ? "its own" : "the server's")));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Versions" }, h("table", {}, h("thead", {}, h("tr", {}, ["Version", "State"].map((head) => h("th", { scope: "col" }, head)), ["Memory", "Loaded in", "Process"].map((head) => h("th", { scope: "col", class: "n" }, head)))), h("tbody", {}, rows)));
}

/** How a version that runs beside another answers the same requests. */
function compared(each) {
  const told = each.compared;
  if (!told) return [h("p", { class: "quiet" }, `Version ${each.version} runs beside the one that serves; nothing was asked yet.`)];
  const rows = [["Answers that agree", count(told.agreed)], ["Answers that differ", count(told.differed)], ["Failed", count(told.failed)],
    ["Not asked, as it was busy", count(told.skipped)], ["Time of a request", `${seconds(told.shadow_seconds)}, the other ${seconds(told.served_seconds)}`]];
  return [h("h3", {}, `Version ${each.version} beside it`), h("dl", {}, rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]))];
}

/** The last lines of the log about a model, when somebody wants them. */
function logView(name) {
  const lines = h("pre", { class: "log", tabindex: "0", "aria-label": "The log about this model", hidden: true });
  const told = h("p", { role: "status", class: "quiet" });
  const button = h("button", { type: "button", class: "plain", onclick: show }, "Show the last lines");
  async function show() {
    try {
      const got = await get(`console/models/${encodeURIComponent(name)}/log`);
      lines.hidden = false;
      lines.textContent = got.lines.join("\n") || "Nothing was logged about it yet.";
      lines.scrollTop = lines.scrollHeight;
      told.textContent = "";
      button.textContent = "Show again";
    } catch (error) {
      told.textContent = error.message;
    }
  }
  return h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", {}, "Log"), h("span", { class: "grow" }),
    button), told, lines);
}

function signature(model) {
  const line = (spec) => `${spec.name}: ${spec.datatype} [${spec.shape.join(", ")}]${spec.optional ? ", optional" : ""}`;
  const some = (texts) => (texts.length > 12 ? [...texts.slice(0, 12), `… ${texts.length - 12} more`] : texts);
  const list = (specs) => some(specs.map(line)).join("\n");
  const calls = model.kind === "chat" ? "requests go on together, token by token" : model.batched ? `requests share calls, up to ${model.max_rows} rows each` : "each request is a call of its own";
  return [h("dl", {},
    ...[["Platform", model.platform], ["Takes", list(model.inputs)], ["Columns", some(model.columns).join(", ")], ["Gives", list(model.outputs)],
      ["Parameters", model.parameters.map((each) => `${each.name}: ${each.choices.length ? each.choices.join(" | ") : each.kind}`).join("\n")],
      ["Batching", calls], ["Explains", model.explains]]
      .filter(([, text]) => text).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text.split("\n").map((each) => h("div", { class: name === "Takes" || name === "Gives" ? "mono" : "" }, each)))]))];
}

function askView(model) {
  if (model.kind === "chat") {
    const path = "openai/v1/chat/completions";
    const body = { model: model.name, messages: [{ role: "user", content: "Hello" }] };
    return [h("h2", {}, "Talk to it"), chatView(model), h("h2", {}, "From code"), snippets(model, path, body)];
  }
  const form = requestForm(model);
  const answer = h("div", { "aria-live": "polite" });
  const code = h("div");
  const button = h("button", { type: "submit" }, "Send");
  const read = () => {
    const asked = form.read();
    put(code, snippets(model, asked.path, asked.body));
    return asked;
  };
  async function send(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      const { path, body } = read();
      const got = await post(path, body, (part, parts) => put(answer, h("pre", { tabindex: "0" }, parts.map((each) => JSON.stringify(each)).join("\n"))));
      put(answer, answerView(body, got, model.labels));
    } catch (error) {
      put(answer, h("p", { class: "reason whole" }, error.message));
    }
    button.disabled = false;
  }
  const missing = model.v1 || model.v2 ? null : h("p", { class: "quiet" }, "Nobody knows a request that it answers: write one, or put an examples.json into its folder.");
  read();
  return [h("h2", {}, "Ask it"), missing, h("form", { class: "stack", onsubmit: send }, form.element, h("div", {}, button)), answer, h("h2", {}, "From code"), code];
}
