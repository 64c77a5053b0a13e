// Calls by @grpc/grpc-js, whose HTTP/2 is node's own: node grpc_js_client.js PACKAGE < calls.json > outcomes.json
//
// A call: {path, messages: [base64], stream, timeout, metadata, compressed, cancel, times}
"use strict";
const fs = require("fs");
const grpc = require(process.argv[2]);
const bytes = (value) => value;
const shown = (metadata) => Object.fromEntries(
  Object.entries(metadata.getMap()).map(([key, value]) => [key, Buffer.isBuffer(value) ? value.toString("base64") : value]));

function outcome(client, call) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(call.metadata || {})) metadata.set(key, value);
  const options = call.timeout ? { deadline: Date.now() + call.timeout * 1000 } : {};
  const messages = call.messages.map((each) => Buffer.from(each, "base64"));
  return new Promise((resolve) => {
    const told = { answers: [], initial: {}, status: null };
    const heard = (each) => told.answers.push(each.toString("base64"));
    const asked = call.stream
      ? client.makeBidiStreamRequest(call.path, bytes, bytes, metadata, options)
      : client.makeUnaryRequest(call.path, bytes, bytes, messages[0], metadata, options, (error, answer) => { if (!error) heard(answer); });
    asked.on("metadata", (initial) => { told.initial = shown(initial); });
    asked.on("status", (status) => {
      setImmediate(() => resolve({ ...told, code: grpc.status[status.code], details: status.details, trailing: shown(status.metadata) }));
    });
    if (call.stream) {
      asked.on("error", () => {}); // the status tells
      asked.on("data", (part) => { heard(part); if (call.cancel) asked.cancel(); });
      for (const message of messages) asked.write(message);
      asked.end();
    }
  });
}

async function main() {
  const { address, ca, calls } = JSON.parse(fs.readFileSync(0));
  const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
  const plain = new grpc.Client(address, credentials);
  const gzip = new grpc.Client(address, credentials, { "grpc.default_compression_algorithm": 2 });
  const outcomes = {};
  for (const [name, call] of Object.entries(calls)) {
    const client = call.compressed ? gzip : plain;
    outcomes[name] = await Promise.all(Array.from({ length: call.times || 1 }, () => outcome(client, call)));
  }
  plain.close();
  gzip.close();
  process.stdout.write(JSON.stringify(outcomes));
}

main();
