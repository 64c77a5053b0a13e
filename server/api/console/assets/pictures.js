// Pictures that are sent, or come, as base64.

/** By their first letters: base64 of what such files begin with. */
const BEGINNINGS = { iVBORw0KGgo: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif", UklGR: "image/webp", Qk: "image/bmp" };

/** An address that shows the picture; null: it is none. */
export function pictureUrl(value) {
  const b64 = typeof value === "string" ? value : value?.b64;
  if (typeof b64 !== "string" || b64.length < 60) return null;
  const known = Object.entries(BEGINNINGS).find(([beginning]) => b64.startsWith(beginning));
  return known ? `data:${known[1]};base64,${b64}` : null;
}
