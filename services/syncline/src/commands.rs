//! The short commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use axum::Json;
use protocol::JobStatus;
use runtime::{Config, Shutdown};
use serde_json::json;

use crate::cli::{JobArgs, JobsArgs, RoleArgs, SyncArgs, UpArgs};
use crate::client::Client;
use crate::instance::{Instance, InstanceOptions, open_store, provision as provision_nats};
use crate::roles::Role;
use crate::{lab_workspace, watch};

/// `syncline up`
pub(crate) async fn up(mut config: Config, args: UpArgs) -> anyhow::Result<ExitCode> {
    if let Some(listen) = args.listen {
        config.http.listen = listen;
    }
    let shutdown = Shutdown::install()?;
    let data_dir = args.data_dir.unwrap_or_else(default_data_dir);
    let data_dir = std::path::absolute(data_dir)?;
    let lab = args.lab.then(|| lab_workspace::lab_config(&args.lab_args));
    let options = InstanceOptions { config, data_dir: Some(data_dir), lab, without: args.without };
    // A signal while starting stops as cleanly as one later: what was started is dropped.
    let instance = tokio::select! {
        started = Box::pin(Instance::start(options)) => started?,
        () = shutdown.requested() => return Ok(ExitCode::SUCCESS),
    };
    if args.json {
        println!("{}", ready_line(&instance));
    } else {
        print_ready(&instance);
    }
    shutdown.requested().await;
    instance.stop().await?;
    Ok(ExitCode::SUCCESS)
}

fn ready_line(instance: &Instance) -> serde_json::Value {
    json!({
        "baseUrl": instance.base_url,
        "natsUrl": instance.nats_url,
        "databaseUrl": instance.database_url,
        "labUrl": instance.lab_url,
        "workspaceId": instance.workspace_id,
        "pid": std::process::id(),
        "configFile": instance.config_file,
    })
}

fn print_ready(instance: &Instance) {
    let program = std::env::args().next().unwrap_or_else(|| "syncline".to_owned());
    println!("Syncline is up.\n");
    println!("  API        {}   (OpenAPI: {}/openapi.json)", instance.base_url, instance.base_url);
    println!("  Postgres   {}", instance.database_url);
    println!("  NATS       {}", instance.nats_url);
    if let (Some(lab), Some(workspace)) = (&instance.lab_url, &instance.workspace_id) {
        println!("  lab        {lab}   (a fake HubSpot; statistics: {lab}/_lab/stats)");
        println!("  workspace  {workspace}\n");
        println!("Ask for a sync:");
        println!("  {program} sync {workspace} --watch --url {}", instance.base_url);
        println!(
            "  curl -X POST {}/api/workspaces/{workspace}/sync -H 'content-type: application/json' -d '{{\"connectorType\": \"hubspot\"}}'",
            instance.base_url
        );
    }
    if let Some(file) = &instance.config_file {
        println!("\nMore workers: {program} worker --config {}", file.display());
    }
    println!("\nCtrl-C stops everything.");
}

/// As root the data cannot be below root's home: Postgres runs as another user, who may not go there.
fn default_data_dir() -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    match std::env::home_dir() {
        Some(home) if !is_root => home.join(".local/share/syncline"),
        _ => Path::new("/var/lib/syncline").to_owned(),
    }
}

/// `syncline worker`, `ingress`, `status` and `scheduler`
pub(crate) async fn role(mut config: Config, role: Role, args: &RoleArgs) -> anyhow::Result<ExitCode> {
    match args.listen {
        Some(listen) => config.http.listen = listen,
        None => config.http.listen.set_port(0),
    }
    let shutdown = Shutdown::install()?;
    match role {
        Role::Ingress => ingress::serve(&config, &shutdown).await?,
        Role::Worker => worker::serve(&config, &shutdown).await?,
        Role::Status => status::serve(&config, &shutdown).await?,
        Role::Scheduler => scheduler::serve(&config, &shutdown).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `syncline sync`
pub(crate) async fn sync(args: SyncArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server.url)?;
    let accepted =
        client.post_sync(&args.workspace, args.connector.as_deref(), args.full.then_some("full")).await?;
    println!("{} (job {})", accepted.message, accepted.job_id);
    if !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    let job = watch::watch(&client, &args.workspace, &accepted.job_id).await?;
    let Some(result) = &job.result else {
        println!("{}: {}", job.status, job.error.as_deref().unwrap_or("no reason given"));
        return Ok(ExitCode::FAILURE);
    };
    for object in &result.results {
        println!(
            "  {:<10} {:>9} listed  {:>9} written  {:>9} unchanged  {:>5} captured",
            object.object.as_str(),
            object.listed,
            object.written,
            object.unchanged,
            object.captured
        );
    }
    println!("{}: {} records", job.status, result.total_records);
    Ok(if job.status == JobStatus::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `syncline jobs`
pub(crate) async fn jobs(args: JobsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server.url)?;
    let page = client.jobs(&args.workspace, args.limit, args.status.as_deref()).await?;
    if page.jobs.is_empty() {
        println!("No jobs.");
    }
    for job in page.jobs {
        let connector = job.connector_type.unwrap_or_default();
        println!(
            "{}  {:<10} {connector:<12} {}  {}",
            job.id,
            job.status,
            job.created_at,
            job.error.unwrap_or_default()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// `syncline cancel`
pub(crate) async fn cancel(args: JobArgs) -> anyhow::Result<ExitCode> {
    let cancelled = Client::new(&args.server.url)?.cancel(&args.workspace, &args.job).await?;
    println!("{}: {}", cancelled.status, cancelled.message);
    Ok(ExitCode::SUCCESS)
}

/// `syncline retry`
pub(crate) async fn retry(args: JobArgs) -> anyhow::Result<ExitCode> {
    let accepted = Client::new(&args.server.url)?.retry(&args.workspace, &args.job).await?;
    println!("{} (job {})", accepted.message, accepted.job_id);
    Ok(ExitCode::SUCCESS)
}

/// `syncline migrate`
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    if config.database.url.is_empty() {
        bail!("which database? Set DATABASE_URL, or database.url in the file named with --config");
    }
    let mut config = config.clone();
    if config.secrets.encryption_key.is_empty() {
        // Migrating touches no secret.
        config.secrets.encryption_key = store::SecretKey::generate()?.into();
    }
    open_store(&config)?.migrate().await?;
    println!("The database is up to date.");
    Ok(ExitCode::SUCCESS)
}

/// `syncline provision`
pub(crate) async fn provision(config: &Config) -> anyhow::Result<ExitCode> {
    if config.nats.url.is_empty() {
        bail!("which NATS? Set SYNCLINE_NATS_URL, or nats.url in the file named with --config");
    }
    let done = provision_nats(config).await?;
    for name in &done.created {
        println!("created {name}");
    }
    for name in &done.updated {
        println!("updated {name}");
    }
    println!("NATS has what Syncline needs.");
    Ok(ExitCode::SUCCESS)
}

/// The `OpenAPI` document of the whole API.
pub(crate) fn document() -> Json<utoipa::openapi::OpenApi> {
    let mut document = ingress::openapi();
    document.merge(status::openapi());
    "Syncline".clone_into(&mut document.info.title);
    Json(document)
}

/// `syncline openapi`
pub(crate) fn openapi() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&document().0)?);
    Ok(ExitCode::SUCCESS)
}
