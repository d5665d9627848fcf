// BullMQ: executes the tasks and the joins.
"use strict";

const { Worker } = require("bullmq");
const { task, worker } = require("../protocol");

const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) };
const options = { connection, concurrency: 100 };

const execute = async (job) => task(job.data.run, job.data.task);
const join = async (job) => {
  const results = await job.getChildrenValues();
  return { ...task(job.data.run, "join"), joined: Object.keys(results).length };
};

const workers = [new Worker("tasks", execute, options), new Worker("joins", join, options)];
for (const each of workers) each.on("error", (error) => console.error(error));
Promise.all(workers.map((each) => each.waitUntilReady())).then(worker);
