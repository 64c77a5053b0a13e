// Elements made by functions; text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: properties by name (`on…`: a listener, `class`, `data-…`, `aria-…`), then children: nodes, texts, null. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same in SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put these in place of all that an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

/** The same, but a node that is as it was stays: its focus, what is selected in it, where it is scrolled to. Nodes of one
 * `data-key` are the same one, wherever they stand. For what is shown alone: listeners of new nodes are not taken over. */
export function renew(element, ...children) {
  const wanted = children.flat(Infinity).filter(Boolean).map((child) => (typeof child === "string" ? document.createTextNode(child) : child));
  const keyed = new Map([...element.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  for (const [index, node] of wanted.entries()) {
    const place = element.childNodes[index] ?? null;
    const there = (node.dataset?.key && keyed.get(node.dataset.key)) || (place?.dataset?.key ? null : place);
    if (!there || there.nodeName !== node.nodeName) {
      element.insertBefore(node, place);
      continue;
    }
    if (there !== place) element.insertBefore(there, place);
    if (there !== node && !there.isEqualNode(node)) become(there, node);
  }
  while (element.childNodes.length > wanted.length) element.lastChild.remove();
}

function become(there, node) {
  if (there.nodeType === Node.TEXT_NODE) {
    there.data = node.data;
    return;
  }
  for (const { name } of [...there.attributes]) if (!node.hasAttribute(name)) there.removeAttribute(name);
  for (const { name, value } of node.attributes) {
    if (there.getAttribute(name) === value) continue;
    if (name === "style") there.style.cssText = value; // the attribute itself is forbidden by the page's policy
    else there.setAttribute(name, value);
  }
  renew(there, [...node.childNodes]);
}

/** Tabs over panels: `{title: () => node}`; the first is shown. */
export function tabs(label, makers) {
  const body = h("div", { class: "stack", role: "tabpanel", tabindex: "0", "aria-label": label });
  const buttons = Object.entries(makers).map(([title, make]) =>
    h("button", { type: "button", role: "tab", onclick: () => choose(title, make) }, title),
  );
  function choose(title, make) {
    for (const button of buttons) {
      const chosen = button.textContent === title;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    put(body, make());
  }
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: turn }, buttons);
  function turn(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  }
  buttons[0].click();
  return h("div", { class: "stack" }, list, body);
}
