// Numbers as people read them.

export function count(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 10000) return `${(value / 1000).toFixed(1)} k`;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

export function seconds(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 0)} s`;
}

/** How long something has lasted, in its two largest units. */
export function duration(value) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = Math.max(units.findIndex(([, size]) => value >= size), 0);
  let left = Math.round(value);
  const parts = (value < 1 ? units.slice(-1) : units.slice(first, first + 2)).map(([name, size]) => {
    const whole = Math.floor(left / size);
    left -= whole * size;
    return whole ? `${whole} ${name}` : "";
  });
  return parts.filter(Boolean).join(" ") || "0 s";
}

export function bytes(value) {
  if (!value) return "–";
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(Math.floor(Math.log2(value) / 10), 4);
  const shown = value / 1024 ** step;
  return `${shown >= 100 || step < 2 ? Math.round(shown) : shown.toFixed(1)} ${steps[step]}`;
}
