// Restate: the endpoint with the workflow. STEPS=run: each task is a step inside of the one handler; STEPS=call: each is a
// call of another service, delivered, stored and retried by itself.
"use strict";

const http2 = require("node:http2");
const restate = require("@restatedev/restate-sdk");
const { task, worker } = require("../protocol");

const tasks = restate.service({
  name: "tasks",
  handlers: { execute: async (_, { run, name }) => task(run, name) },
});

const starters = {
  run: (context, run) => (name) => context.run(name, () => task(run, name)),
  call: (context, run) => (name) => context.serviceClient(tasks).execute({ run, name }),
};

const flow = restate.workflow({
  name: "flow",
  handlers: {
    run: async (context, { run, width }) => {
      const start = starters[process.env.STEPS](context, run);
      const names = width ? Array.from({ length: width }, (_, number) => `w${number}`) : ["a", "b", "c", "d"];
      const started = names.map(start);
      if (!width) {
        const [ofA] = await restate.RestatePromise.allSettled([started[0]]);
        if (ofA.status === "fulfilled") started.push(start("e"));
      }
      const settled = await restate.RestatePromise.allSettled(started);
      const joined = settled.filter(({ status }) => status === "fulfilled").length;
      return context.run("join", () => ({ ...task(run, "join"), joined }));
    },
  },
});

// On loopback alone; the SDK's own server listens everywhere.
http2
  .createServer(restate.createEndpointHandler({ services: [tasks, flow] }))
  .listen(Number(process.env.SERVICE_PORT), "127.0.0.1", worker);
