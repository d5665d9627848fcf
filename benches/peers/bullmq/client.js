// BullMQ: submits runs as flows, the join being the parent of the tasks.
"use strict";

const { FlowProducer, Queue, QueueEvents } = require("bullmq");
const { client } = require("../protocol");

const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) };
/** Flows in one call, and calls at the same time. */
const BATCH = 100;
const SUBMITTERS = 2;
/** Results that the join of a standard run reads: of b, c, d and e; that of a is read by e. */
const STANDARD_RESULTS = 4;

const flows = new FlowProducer({ connection });
const events = new QueueEvents("joins", { connection });
// By default only the last ten thousand events are kept, and a completion that the client reads too late is never seen.
const joins = new Queue("joins", { connection, streams: { events: { maxLen: 1_000_000 } } });
const tasks = new Queue("tasks", { connection });

const waiting = new Map();
const settle = (run, joined) => {
  waiting.get(run)?.(joined);
  waiting.delete(run);
};
events.on("completed", ({ jobId, returnvalue }) => settle(jobId, returnvalue.joined));
events.on("failed", ({ jobId }) => settle(jobId, 0));
const joined = (run) => new Promise((resolve) => waiting.set(run, resolve));

/** The join runs whatever became of its tasks. */
const child = (run, name, children) => ({
  name,
  queueName: "tasks",
  data: { run, task: name },
  opts: { ignoreDependencyOnFailure: true },
  ...children,
});
const flow = (run, children) => ({ name: "join", queueName: "joins", data: { run }, opts: { jobId: run }, children });

function standard(run) {
  const a = { ...child(run, "a"), opts: { failParentOnFailure: true } };
  return flow(run, [child(run, "b"), child(run, "c"), child(run, "d"), child(run, "e", { children: [a] })]);
}

const wide = (run, width) => flow(run, Array.from({ length: width }, (_, number) => child(run, `w${number}`)));

async function many(runs) {
  const all = runs.map(joined);
  let next = 0;
  const submit = async () => {
    while (next < runs.length) {
      const batch = runs.slice(next, (next += BATCH));
      await flows.addBulk(batch.map(standard));
    }
  };
  await Promise.all(Array.from({ length: SUBMITTERS }, submit));
  return (await Promise.all(all)).filter((results) => results === STANDARD_RESULTS).length;
}

async function one(run, width) {
  const results = joined(run);
  await flows.add(width ? wide(run, width) : standard(run));
  return Number((await results) === (width || STANDARD_RESULTS));
}

async function stored() {
  const sums = { completed: 0, failed: 0, open: 0 };
  for (const queue of [tasks, joins]) {
    for (const [state, count] of Object.entries(await queue.getJobCounts())) {
      sums[state in sums ? state : "open"] += count;
    }
  }
  return sums;
}

Promise.all([flows, events, joins, tasks].map((each) => each.waitUntilReady())).then(() => client({ many, one, stored }));
