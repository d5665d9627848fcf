//! `hermes doctor`: is everything there that a diagnosis needs?

use hermes_adapters::http::HttpClient;
use hermes_adapters::secrets;
use hermes_adapters::settings::Settings;
use hermes_core::Configured;
use hermes_core::plan;

use crate::args::Doctor;
use crate::doctor::{self, Check, Machine, Report};
use crate::exit::{Exit, Failure};
use crate::session::{data_folder, environment};
use crate::{output, render};

pub(super) async fn execute(options: Doctor, settings: Settings) -> Result<Exit, Failure> {
    let shipped = plan::shipped();
    let wanted = options.plan.as_ref().map_or("standard-v1", |plan| plan.as_str());
    let plan = shipped.iter().find(|plan| plan.id().as_str() == wanted).ok_or_else(|| {
        let names: Vec<&str> = shipped.iter().map(|plan| plan.id().as_str()).collect();
        Failure::Use(format!("there is no shipped plan {wanted}; there are {}", names.join(", ")))
    })?;
    let mut ground = Vec::new();
    // A source that fails is what a doctor is for: it goes on with what the environment has.
    let configured = match secrets::load(settings.secrets.as_ref(), &environment()).await {
        Ok(configured) => configured,
        Err(error) => {
            let detail = format!("failed to {error}");
            ground.push(Check { name: "secrets".to_owned(), is_well: false, detail });
            Configured::from_environment(&environment())
        }
    };
    let data = if options.fleet {
        ground.extend(doctor::fleet(&settings).await);
        settings.embedded.data.clone()
    } else {
        let data = data_folder(options.data.as_deref(), &settings)?;
        ground.push(doctor::embedded(&data));
        Some(data)
    };
    let http = HttpClient::new().map_err(anyhow::Error::from)?;
    let machine = Machine::new(configured.over(environment()), data.as_deref());
    let services = doctor::examine(plan, &machine, &http).await;
    let report = Report::new(plan.id().to_string(), services, doctor::values(&configured), ground);
    if options.json {
        output::print(&(serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n"));
    } else {
        output::print(&render::doctor::render(&report, output::layout()));
    }
    Ok(if report.is_ready { Exit::Complete } else { Exit::Failed })
}
