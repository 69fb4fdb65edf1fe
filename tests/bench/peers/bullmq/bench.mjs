// BullMQ sending N delayed template messages: the same work as the other programs beside it.
//
//   node bench.mjs enqueue --redis-port P --n N --due-ms A --over-ms B
//   node bench.mjs work --redis-port P --sink http://127.0.0.1:PORT --concurrency C [--rate R]
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const QUEUE = "morning";
const CHUNK = 500;
const TIMEOUT_MS = 10_000;

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "redis-port": { type: "string" },
    n: { type: "string" },
    "due-ms": { type: "string" },
    "over-ms": { type: "string" },
    sink: { type: "string" },
    concurrency: { type: "string" },
    rate: { type: "string" },
  },
});

function number(name) {
  const value = Number(args[name]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name}: expected a whole number`);
  return value;
}

function jobData(index, due_ms) {
  return {
    index,
    recipient: `r${String(index).padStart(7, "0")}`,
    to: `+91${9_000_000_000 + index}`,
    name: "daily_pack",
    language: "en",
    first_name: "Asha",
    headline: "Markets open at 9:15",
    due_ms,
  };
}

async function enqueue(connection) {
  const [n, dueMs, overMs] = [number("n"), number("due-ms"), number("over-ms")];
  const queue = new Queue(QUEUE, {
    connection,
    defaultJobOptions: {
      attempts: 3,
      backoff: { type: "exponential", delay: 1000 },
      removeOnComplete: true,
    },
  });
  await queue.waitUntilReady();

  const began = performance.now();
  for (let first = 0; first < n; first += CHUNK) {
    const jobs = [];
    for (let i = first; i < Math.min(first + CHUNK, n); i++) {
      const due = dueMs + Math.floor((i * overMs) / n);
      jobs.push({
        name: "send",
        data: jobData(i, due),
        opts: { delay: Math.max(0, due - Date.now()) },
      });
    }
    // One pipeline for the whole chunk; resolves when Redis has answered for every job in it.
    await queue.addBulk(jobs);
  }
  const seconds = (performance.now() - began) / 1000;

  await queue.close();
  console.log(JSON.stringify({ n, seconds }));
}

async function work(connection) {
  const url = `${args.sink}/v23.0/1001/messages`;
  const headers = { "content-type": "application/json", authorization: "Bearer token" };

  // The global fetch keeps connections alive and opens as many to one host as there are requests
  // under way, so it needs no Agent of our own.
  async function send({ data }) {
    const response = await fetch(url, {
      method: "POST",
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      body: JSON.stringify({
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: data.to,
        type: "template",
        template: {
          name: data.name,
          language: { code: data.language },
          components: [
            {
              type: "body",
              parameters: [
                { type: "text", parameter_name: "first_name", text: data.first_name },
                { type: "text", parameter_name: "headline", text: data.headline },
              ],
            },
          ],
        },
        biz_opaque_callback_data: `${data.index}:${data.due_ms}`,
      }),
    });
    const answer = await response.json();
    const id = answer.messages?.[0]?.id;
    if (!response.ok || !id) throw new Error(`not accepted: ${response.status}`);
    return id;
  }

  const worker = new Worker(QUEUE, send, {
    connection,
    concurrency: number("concurrency"),
    ...(args.rate && { limiter: { max: number("rate"), duration: 1000 } }),
  });
  worker.on("error", (error) => console.error(error));
  worker.on("failed", (_job, error) => console.error(error));
  const stopped = new Promise((resolve) => process.once("SIGTERM", resolve));
  await worker.waitUntilReady();
  console.log("ready");

  await stopped;
  await worker.close();
}

const commands = { enqueue, work };
const command = commands[positionals[0]];
if (!command) throw new Error("expected: enqueue or work");

// BullMQ asks for this of connections its workers block on.
const connection = new Redis({ host: "127.0.0.1", port: number("redis-port"), maxRetriesPerRequest: null });
await command(connection);
await connection.quit();
// The idle kept-alive connections of fetch would otherwise hold the process for some seconds.
process.exit(0);
