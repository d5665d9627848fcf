// Restate: submits runs over HTTP; each request waits for the end of its run.
"use strict";

const http = require("node:http");
const { client } = require("../protocol");

/** Requests at the same time. */
const SUBMITTERS = 256;
const STANDARD_TASKS = 5;
const agent = new http.Agent({ keepAlive: true, maxSockets: SUBMITTERS, scheduling: "lifo" });

/** Posts JSON and gives the JSON of the answer. The plain client costs the peer least. */
const post = (port, path, body) =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", accept: "application/json" };
    const request = http.request({ host: "127.0.0.1", port, path, method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("end", () =>
        response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`${response.statusCode} ${text}`)),
      );
    });
    request.on("error", reject);
    request.end(JSON.stringify(body));
  });

async function one(run, width) {
  const { joined } = await post(process.env.INGRESS_PORT, `/flow/${run}/run`, { run, width });
  return Number(joined === (width || STANDARD_TASKS));
}

async function many(runs) {
  let complete = 0;
  let next = 0;
  const submit = async () => {
    while (next < runs.length) {
      const completed = await one(runs[next++], 0);
      complete += completed;
    }
  };
  await Promise.all(Array.from({ length: SUBMITTERS }, submit));
  return complete;
}

const QUERY = `SELECT status, completion_result AS result, count(*) AS number
  FROM sys_invocation WHERE target_service_name = 'flow' GROUP BY 1, 2`;

async function stored() {
  const sums = { completed: 0, failed: 0, open: 0 };
  for (const { status, result, number } of (await post(process.env.ADMIN_PORT, "/query", { query: QUERY })).rows) {
    const became = status !== "completed" ? "open" : result === "success" ? "completed" : "failed";
    sums[became] += number;
  }
  return sums;
}

client({ many, one, stored });
