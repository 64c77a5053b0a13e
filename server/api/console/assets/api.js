// What the page asks the server for. Paths are relative, so that a prefix in front of the server does no harm.

const KEY = "polyserve-token";

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

function headers(more = {}) {
  return token.get() ? { ...more, authorization: `Bearer ${token.get()}` } : more;
}

/** A document of the server; throws an Error with the server's own words, and its `status`. */
export async function get(path) {
  const answer = await fetch(path, { headers: headers() });
  const document = await answer.json().catch(() => null);
  if (answer.ok && document !== null) return document;
  throw Object.assign(new Error(words(document) ?? `${answer.status} ${answer.statusText}`), { status: answer.status });
}

/** Send a body of JSON. `onpart` is called with each part of an answer that is a stream of events; `signal` ends it. */
export async function post(path, body, onpart = null, signal = null) {
  const started = performance.now();
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await fetch(path, {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: text,
    signal,
  });
  const kind = answer.headers.get("content-type") ?? "";
  if (kind.startsWith("text/event-stream")) {
    const parts = [];
    for await (const part of events(answer.body)) {
      parts.push(part);
      onpart?.(part, parts);
    }
    return { status: answer.status, ok: answer.ok, parts, seconds: (performance.now() - started) / 1000 };
  }
  const raw = await answer.text();
  let document = raw;
  try {
    document = JSON.parse(raw);
  } catch {
    // it is no JSON: it is shown as it came
  }
  return { status: answer.status, ok: answer.ok, document, seconds: (performance.now() - started) / 1000 };
}

/** The data of each server-sent event, as JSON where it is. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (kept + value).split(/\r?\n\r?\n/);
    kept = blocks.pop();
    for (const block of blocks) {
      const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
      if (!data.length || data[0] === "[DONE]") continue;
      try {
        yield JSON.parse(data.join("\n"));
      } catch {
        yield data.join("\n");
      }
    }
  }
}

/** What an error says, in the server's shape or in OpenAI's. */
export function words(document) {
  return document?.error?.message ?? document?.error ?? null;
}
