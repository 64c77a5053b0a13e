// The last minutes of every model: what two answers of the server differ by.

import { get } from "./api.js";

const KEPT = 150;
export const history = new Map(); // model -> [{time, rate, errors, refused, p50, p99, batch, waiting, tokens}]
let before = null;

/** Ask once; the overview, with a `now` for each model. */
export async function look() {
  const seen = await get("console/overview");
  const earlier = new Map(before?.models.map((model) => [model.name, model]) ?? []);
  const elapsed = before ? seen.clock - before.clock : 0;
  for (const model of seen.models) {
    const sample = between(earlier.get(model.name), model, elapsed, seen.bounds);
    const samples = history.get(model.name) ?? [];
    if (sample) samples.push({ ...sample, time: seen.clock, waiting: model.waiting });
    if (samples.length > KEPT) samples.shift();
    history.set(model.name, samples);
    model.now = samples.at(-1) ?? null;
  }
  seen.now = total(before?.models ?? [], seen.models, elapsed, seen.bounds);
  if (seen.now) all.push({ ...seen.now, failed: seen.now.errors + seen.now.refused, memory: memoryOf(seen) });
  if (all.length > KEPT) all.shift();
  before = seen;
  return seen;
}

export const all = [];

/** Of the server's process and of those that models have of their own. */
export function memoryOf(seen) {
  return seen.server.memory + ofProcesses(seen);
}

export function ofProcesses(seen) {
  return seen.models.flatMap((model) => model.versions).reduce((sum, each) => sum + (each.own_process ? each.memory : 0), 0);
}

function total(earlier, models, elapsed, bounds) {
  const sum = (list) =>
    list.reduce((into, model) => {
      for (const name of ["requests", "server_errors", "client_errors", "rows", "calls", "tokens"]) into[name] = (into[name] ?? 0) + (model[name] ?? 0);
      into.buckets = model.buckets.map((count, index) => count + (into.buckets?.[index] ?? 0));
      return into;
    }, {});
  return models.length && earlier.length ? between(sum(earlier), sum(models), elapsed, bounds) : null;
}

function between(earlier, later, elapsed, bounds) {
  if (!earlier || elapsed <= 0 || later.requests < earlier.requests) return null;
  const grown = later.buckets.map((count, index) => count - earlier.buckets[index]);
  const calls = later.calls - earlier.calls;
  return {
    rate: (later.requests - earlier.requests) / elapsed,
    errors: (later.server_errors - earlier.server_errors) / elapsed,
    refused: (later.client_errors - earlier.client_errors) / elapsed,
    p50: quantile(grown, bounds, 0.5),
    p99: quantile(grown, bounds, 0.99),
    batch: calls > 0 ? (later.rows - earlier.rows) / calls : null,
    tokens: later.tokens === null ? null : ((later.tokens ?? 0) - (earlier.tokens ?? 0)) / elapsed,
  };
}

/** Within a bucket values are taken to lie evenly, as Prometheus takes them. */
export function quantile(counts, bounds, share) {
  const wanted = share * counts.reduce((sum, count) => sum + count, 0);
  if (!wanted) return null;
  let below = 0;
  for (const [index, count] of counts.entries()) {
    if (below + count >= wanted) {
      const low = index ? bounds[index - 1] : 0;
      const high = bounds[index] ?? low;
      return low + ((high - low) * (wanted - below)) / count;
    }
    below += count;
  }
  return bounds.at(-1);
}
