// Lines over the last minutes, as SVG.

import { h, svg } from "./dom.js";
import { duration } from "./format.js";

const [WIDTH, HEIGHT, LEFT, FOOT, SHORTEST] = [280, 132, 46, 20, 30]; // SHORTEST: seconds that a chart shows at least

/** A small line without axes, over what is known of the last minute; `room` times the highest value fits. */
export function spark(samples, field, room = 1) {
  const values = samples.map((sample) => sample[field] ?? 0).slice(-60);
  const most = Math.max(...values, 0) * room;
  const step = 96 / Math.max(values.length - 1, 1);
  const points = values.map((value, index) => `${index * step},${most ? 22 - (20 * value) / most : 22}`).join(" ");
  const known = values.length > 1;
  return svg("svg", { class: "spark", viewBox: "0 0 96 24", "aria-hidden": "true", preserveAspectRatio: "none" },
    known && most ? svg("polygon", { class: "area", points: `0,24 ${points} 96,24` }) : null,
    known && most ? svg("polyline", { class: "line s1", points }) : null);
}

/** A chart with a scale: `fields` are the samples' fields by what they are called. */
export function chart(title, samples, fields, shown) {
  const named = Object.entries(fields);
  const most = Math.max(...named.flatMap(([, field]) => samples.map((sample) => sample[field] ?? 0)), 0);
  const top = nice(most);
  const span = Math.max(samples.length, SHORTEST);
  const x = (index) => LEFT + ((index + span - samples.length) * (WIDTH - LEFT)) / (span - 1);
  const y = (value) => HEIGHT - FOOT - (value / top) * (HEIGHT - FOOT - 8);
  const parts = named.map(([, field]) => segments(samples.map((sample, index) => (sample[field] === null ? null : [x(index), y(sample[field])]))));
  const lines = parts.flatMap((found, number) => found.map((part) => (part.length > 1
    ? svg("polyline", { class: `line s${number + 1}`, points: part.join(" ") })
    : svg("circle", { class: `dot s${number + 1}`, cx: part[0][0], cy: part[0][1], r: 2.6 }))));
  const area = named.length > 1 ? null : parts[0].filter((part) => part.length > 1).map((part) =>
    svg("polygon", { class: "area", points: `${part[0][0]},${y(0)} ${part.join(" ")} ${part.at(-1)[0]},${y(0)}` }));
  const scale = [0, 0.5, 1].map((share) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(top * share), y2: y(top * share) }),
    svg("text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" }, most || !share ? shown(top * share) : ""),
  ]);
  const last = samples.at(-1);
  const known = samples.length > SHORTEST ? Math.round(last.time - samples[0].time) : SHORTEST;
  const times = [[LEFT, "start", `${duration(known)} ago`], [WIDTH, "end", "now"]].map(([at, anchor, text]) =>
    svg("text", { x: at, y: HEIGHT - 3, "text-anchor": anchor }, text));
  const value = (name, field) => `${name} ${last ? shown(last[field]) : "–"}`.trim();
  const told = named.map(([name, field]) => value(name, field)).join(", ");
  return h("figure", { class: "panel stack" },
    h("div", { class: "row" }, h("h3", {}, title), h("span", { class: "grow" }),
      h("span", { class: "legend" }, named.map(([name, field], number) =>
        h("span", {}, h("i", { class: `s${number + 1}` }), value(name, field))))),
    svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${told}` },
      scale, times, area, lines));
}

function segments(points) {
  const found = [[]];
  for (const point of points) point === null ? found.push([]) : found.at(-1).push(point);
  return found.filter((part) => part.length);
}

/** The next number of one digit, whose half is short as well. */
function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}
