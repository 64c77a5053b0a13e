// Which view is shown, kept up to date every second; light or dark; the token.

import { token } from "./api.js";
import { put } from "./dom.js";
import { bytes } from "./format.js";
import { look } from "./history.js";
import { modelView } from "./model.js";
import { overviewView } from "./overview.js";

const INTERVAL = 1000;
const at = (id) => document.getElementById(id);
let view = null;
let last = null;

function route() {
  const name = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  view = name ? modelView(name) : overviewView();
  document.title = name ? `${name} · PolyServe` : "PolyServe";
  put(at("view"), view.element);
  if (last) view.update(last);
}

async function tick() {
  try {
    if (!document.hidden || !last) {
      last = await look();
      view.update(last);
      tell(last.server);
    }
  } catch (error) {
    at("status").textContent = `No answer: ${error.message}`;
    at("status").className = "pill UNAVAILABLE";
  }
  setTimeout(tick, INTERVAL);
}

function tell(server) {
  const status = server.not_ready ? `Not ready: ${server.not_ready}` : "Ready";
  if (at("status").textContent !== status) at("status").textContent = status;
  at("status").className = `pill ${server.not_ready ? "LOADING" : "READY"}`;
  at("about").textContent = `${server.version} · Python ${server.python} · ${bytes(server.memory)}`;
  at("docs").hidden = !server.swagger;
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
at("token").addEventListener("click", () => {
  at("token-value").value = token.get();
  at("token-dialog").showModal();
});
at("token-dialog").addEventListener("close", () => {
  if (at("token-dialog").returnValue === "keep") token.set(at("token-value").value.trim());
});
addEventListener("hashchange", route);
route();
tick();
