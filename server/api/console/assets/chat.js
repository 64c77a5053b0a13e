// A talk with a language model, as its words come.

import { post, words } from "./api.js";
import { h } from "./dom.js";

/** The whole panel: what was said, a field, and how long the answer may be. */
export function chatView(model) {
  const said = h("div", { class: "talk", role: "log", "aria-live": "polite", tabindex: "0", "aria-label": "What was said" });
  const field = h("textarea", { "aria-label": "Message", placeholder: "Say something", rows: 2 });
  const most = h("input", { type: "number", min: 1, max: 4096, value: 64 });
  const heat = h("input", { type: "number", min: 0, max: 2, step: 0.1, value: 0.7 });
  const button = h("button", { type: "submit" }, "Send");
  const messages = [];

  async function talk(event) {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    button.disabled = true;
    messages.push({ role: "user", content: text });
    said.append(h("div", { class: "said user" }, text));
    const answer = h("div", { class: "said" }, "…");
    said.append(answer);
    const body = { model: model.name, messages, stream: true, max_tokens: Number(most.value), temperature: Number(heat.value) };
    let whole = "";
    try {
      const got = await post("openai/v1/chat/completions", body, (part) => {
        if (part.error) throw new Error(words(part));
        whole += part.choices?.[0]?.delta?.content ?? "";
        answer.textContent = whole || "…";
        said.scrollTop = said.scrollHeight;
      });
      if (!got.ok) throw new Error(words(got.document) ?? String(got.status));
      messages.push({ role: "assistant", content: whole });
    } catch (error) {
      messages.pop();
      answer.textContent = error.message;
      answer.classList.add("reason", "whole");
    }
    button.disabled = false;
    field.focus();
  }

  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) event.target.form.requestSubmit();
  });
  return h("form", { class: "stack", onsubmit: talk }, said, field,
    h("div", { class: "row" }, h("label", {}, "Tokens, at most", most), h("label", {}, "Temperature", heat), h("span", { class: "grow" }), button));
}
