// Pictures and sounds that are sent, or come, as base64.

/** By their first letters: base64 of what such files begin with. */
const BEGINNINGS = {
  iVBORw0KGgo: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif", Qk: "image/bmp",
  ZkxhQ: "audio/flac", T2dnUw: "audio/ogg", SUQz: "audio/mpeg", "//u": "audio/mpeg",
};
/** What RIFF, which begins with its length, holds. */
const RIFF = { WEBP: "image/webp", WAVE: "audio/wav" };

/** An address that shows the picture; null: it is none. */
export function pictureUrl(value) {
  return urlOf(value, "image/");
}

/** An address that plays the sound; null: it is none. */
export function soundUrl(value) {
  return urlOf(value, "audio/");
}

function urlOf(value, kind) {
  const b64 = typeof value === "string" ? value : value?.b64;
  if (typeof b64 !== "string" || b64.length < 60) return null;
  const media = mediaOf(b64);
  return media?.startsWith(kind) ? `data:${media};base64,${b64}` : null;
}

function mediaOf(b64) {
  if (!b64.startsWith("UklGR")) return Object.entries(BEGINNINGS).find(([beginning]) => b64.startsWith(beginning))?.[1];
  try {
    return RIFF[atob(b64.slice(0, 16)).slice(8)];
  } catch {
    return null; // a text that begins so
  }
}
