// Which view is shown, kept up to date every second; light or dark; the token.

import { token } from "./api.js";
import { h, put, renew } from "./dom.js";
import { duration } from "./format.js";
import { look } from "./history.js";
import { modelView } from "./model.js";
import { overviewView } from "./overview.js";

const INTERVAL = 1000;
const at = (id) => document.getElementById(id);
let view = null;
let last = null;

function route() {
  const name = nameOf(location.hash.replace(/^#\/?/, ""));
  view = name ? modelView(name) : overviewView();
  document.title = name ? `${name} · PolyServe` : "PolyServe";
  put(at("view"), view.element);
  if (last) view.update(last);
}

/** The model that an address is about; one that is typed by hand may be no code. */
function nameOf(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function ask() {
  try {
    const seen = await look();
    if (!last) put(at("view"), view.element);
    last = seen;
    view.update(last);
    tell(last.server);
  } catch (error) {
    silent(error);
  }
}

async function tick() {
  if (!document.hidden || !last) await ask();
  setTimeout(tick, INTERVAL);
}

function tell(server) {
  const status = server.not_ready ? `Not ready: ${server.not_ready}` : "Ready";
  if (at("status").textContent !== status) at("status").textContent = status;
  at("status").className = `pill ${server.not_ready ? "LOADING" : "READY"}`;
  at("status").removeAttribute("title");
  at("about").textContent = `${server.version} · Python ${server.python} · up ${duration(server.uptime)}`;
  at("docs").hidden = !server.swagger;
}

function askToken() {
  at("token-value").value = token.get();
  at("token-dialog").returnValue = "";
  at("token-dialog").showModal();
}

function tellToken() {
  at("token").textContent = token.get() ? "Token ✓" : "Token";
}

/** Why there is nothing new: nobody answers, or whoever asks may not know. */
function silent(error) {
  const keyless = [401, 403].includes(error.status);
  at("status").textContent = keyless ? "No access" : error.status ? `Error ${error.status}` : "No answer";
  at("status").className = "pill UNAVAILABLE";
  at("status").title = error.message;
  if (last && !keyless) return; // what was known stays in sight
  last = null;
  renew(at("view"), h("p", { class: "empty" }, keyless || error.status ? error.message : "The server does not answer. This page asks again every second."));
}

function dress(theme) {
  document.documentElement.dataset.theme = theme;
}

const wish = matchMedia("(prefers-color-scheme: dark)");
dress(localStorage.getItem("polyserve-theme") ?? (wish.matches ? "dark" : "light"));
wish.addEventListener("change", () => localStorage.getItem("polyserve-theme") ?? dress(wish.matches ? "dark" : "light"));
at("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("polyserve-theme", theme);
  dress(theme);
});
at("token").addEventListener("click", askToken);
at("token-cancel").addEventListener("click", () => at("token-dialog").close(""));
at("token-dialog").addEventListener("close", () => {
  if (at("token-dialog").returnValue !== "keep") return;
  token.set(at("token-value").value.trim());
  tellToken();
  if (!last) ask();
});
addEventListener("hashchange", route);
tellToken();
route();
tick();
