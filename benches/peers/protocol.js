// What the Node programs of all peers share. Commands come as lines on standard input (`T 5000`), each answer goes as
// one line of JSON to standard output, and the end of the input is the end of the program.
"use strict";

const readline = require("node:readline");

const ECHO = "x".repeat(150);
let executions = 0;
const executed = new Set();

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

/** Executes a task: it does nothing but answer about 200 bytes of JSON. */
function task(run, name) {
  executions += 1;
  executed.add(`${run}/${name}`);
  return { run, task: name, ok: true, echo: ECHO };
}

/** Answers commands, one after the other, from now on. */
async function serve(commands) {
  say({ ready: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, count] = line.split(" ");
    say(await commands[command](Number(count)));
  }
  process.exit(0);
}

/** A program that executes tasks. */
const worker = () => serve({ executed: async () => ({ executions, distinct: executed.size }) });

/**
 * A program that submits runs. `many(runs)` and `one(run, width)` submit, wait, and say how many runs (at most one) came
 * back with the results of all their tasks; `stored()` says what the peer's own store has of all runs.
 */
function client({ many, one, stored }) {
  let number = 0;
  const nextRun = () => `run-${number++}`;
  const since = (begun) => performance.now() - begun;
  return serve({
    T: async (count) => {
      const runs = Array.from({ length: count }, nextRun);
      const begun = performance.now();
      const complete = await many(runs);
      return { seconds: since(begun) / 1e3, complete };
    },
    L: async (count) => {
      const ms = [];
      let complete = 0;
      while (ms.length < count) {
        const run = nextRun();
        const begun = performance.now();
        complete += await one(run, 0);
        ms.push(since(begun));
      }
      return { ms, complete };
    },
    F: async (width) => {
      const run = nextRun();
      const begun = performance.now();
      const complete = await one(run, width);
      return { ms: since(begun), complete };
    },
    stored,
  });
}

module.exports = { client, task, worker };
