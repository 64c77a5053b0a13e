// A talk with a language model, as its words come.

import { post, words } from "./api.js";
import { h } from "./dom.js";
import { count, seconds } from "./format.js";

/** The whole panel: what was said, a field, and how long the answer may be. */
export function chatView(model) {
  const said = h("div", { class: "talk", role: "log", "aria-live": "polite", tabindex: "0", "aria-label": "What was said" });
  const field = h("textarea", { "aria-label": "Message", placeholder: "Say something (Enter sends, Shift+Enter begins a line)", rows: 2 });
  const most = h("input", { type: "number", min: 1, max: 4096, value: 64 });
  const heat = h("input", { type: "number", min: 0, max: 2, step: 0.1, value: 0.7 });
  const button = h("button", { type: "submit" }, "Send");
  const stop = h("button", { type: "button", class: "plain", hidden: true, onclick: () => ending?.abort() }, "Stop");
  const anew = h("button", { type: "button", class: "plain", hidden: true, onclick: forget }, "Begin anew");
  const messages = [];
  let ending = null; // of the answer that comes now

  async function talk(event) {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || ending) return;
    field.value = "";
    messages.push({ role: "user", content: text });
    said.append(h("div", { class: "said user" }, text));
    const answer = h("div", { class: "said" }, "…");
    const thought = h("details", { class: "thought", hidden: true }, h("summary", {}, "What it thought first"), h("div", {}));
    said.append(thought, answer);
    busy(new AbortController());
    const whole = { text: "" };
    try {
      const told = await answered(whole, answer, thought);
      said.append(h("div", { class: "quiet took" }, told));
    } catch (error) {
      if (error.name !== "AbortError") refused(answer, error);
    }
    if (messages.at(-1).role === "user" && !answer.classList.contains("reason")) messages.push({ role: "assistant", content: whole.text });
    busy(null);
    said.scrollTop = said.scrollHeight;
    field.focus();
  }

  /** Send the talk so far, and show the answer's words as they come; what to say of it when it is whole. */
  async function answered(whole, answer, thought) {
    const body = { model: model.name, messages, stream: true, stream_options: { include_usage: true }, max_tokens: Number(most.value), temperature: Number(heat.value) };
    const began = performance.now();
    let [first, tokens] = [null, 0];
    const got = await post("openai/v1/chat/completions", body, (part) => {
      if (part.error) throw new Error(words(part));
      tokens = part.usage?.completion_tokens ?? tokens;
      const { content: more = "", reasoning_content: reason } = part.choices?.[0]?.delta ?? {};
      if (reason) {
        thought.hidden = false;
        thought.lastChild.append(reason);
      }
      if (more || reason) first ??= (performance.now() - began) / 1000;
      whole.text += more;
      answer.textContent = whole.text || "…";
      said.scrollTop = said.scrollHeight;
    }, ending.signal);
    if (!got.ok) throw new Error(words(got.document) ?? String(got.status));
    if (!whole.text) answer.textContent = thought.hidden ? "(no words)" : "(no words: it was still thinking)";
    return `${tokens} tokens, ${count(tokens / got.seconds)} a second${first === null ? "" : `, the first after ${seconds(first)}`}`;
  }

  /** A question that was not answered is none of the talk's. */
  function refused(answer, error) {
    messages.pop();
    answer.textContent = error.message;
    answer.classList.add("reason", "whole");
  }

  function busy(controller) {
    ending = controller;
    stop.hidden = controller === null;
    button.disabled = controller !== null;
    anew.hidden = controller !== null || !said.childElementCount;
  }

  function forget() {
    messages.length = 0;
    said.replaceChildren();
    busy(null);
    field.focus();
  }

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault(); // or the empty field would begin with a line
    event.target.form.requestSubmit();
  });
  return h("form", { class: "stack", onsubmit: talk }, said, field,
    h("div", { class: "row" }, h("label", {}, "Tokens, at most", most), h("label", {}, "Temperature", heat), h("span", { class: "grow" }), anew, stop, button));
}
