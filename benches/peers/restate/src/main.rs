//! The peer Restate with its Rust SDK: the endpoint with the workflow. All tasks are steps inside of the one handler, which
//! is the fastest way.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// What was executed: how often in all, and which tasks of which runs.
static EXECUTED: LazyLock<Mutex<(usize, HashSet<String>)>> = LazyLock::new(Mutex::default);

/// Executes a task: it does nothing but answer about 200 bytes of JSON.
fn task(run: &str, name: &str) -> Value {
    let mut executed = EXECUTED.lock().expect("nobody panics while holding it");
    executed.0 += 1;
    executed.1.insert(format!("{run}/{name}"));
    json!({"run": run, "task": name, "ok": true, "echo": "x".repeat(150)})
}

#[derive(Serialize, Deserialize)]
pub struct Wanted {
    run: String,
    /// Tasks that wait for nothing; 0 is a standard run.
    width: usize,
}

pub struct Flow;

#[workflow(name = "flow")]
impl Flow {
    #[handler]
    async fn run(&self, context: WorkflowContext<'_>, wanted: Json<Wanted>) -> Result<Json<Value>, HandlerError> {
        let Wanted { run, width } = wanted.into_inner();
        let start = |name: String| {
            let (run, called) = (run.clone(), name.clone());
            context.run(move || async move { Ok(Json(task(&run, &called))) }).name(name)
        };
        let mut joined = 0;
        let mut started = Vec::new();
        if width > 0 {
            started.extend((0..width).map(|number| start(format!("w{number}"))));
        } else {
            let a = start("a".to_owned());
            started.extend(["b", "c", "d"].map(|name| start(name.to_owned())));
            if a.await.is_ok() {
                joined += 1;
                started.push(start("e".to_owned()));
            }
        }
        for each in started {
            joined += usize::from(each.await.is_ok());
        }
        let join = || async move {
            let mut answer = task(&run, "join");
            answer["joined"] = joined.into();
            Ok(Json(answer))
        };
        Ok(context.run(join).name("join").await?)
    }
}

fn say(answer: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).expect("somebody listens");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::var("SERVICE_PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    // The SDK leaves it on, which costs some runs 40 ms; accepted connections inherit it.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    tokio::spawn(HttpServer::new(Endpoint::builder().bind(Flow).build()).serve(listener));
    say(&json!({"ready": true}));
    // The only command is `executed`; the end of the input is the end of the program.
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        let executed = EXECUTED.lock().expect("nobody panics while holding it");
        say(&json!({"executions": executed.0, "distinct": executed.1.len()}));
    }
    Ok(())
}
