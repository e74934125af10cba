//! Configuration: where values come from, and how all that is wrong is said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use runtime::{Config, ConfigErrors, DEFAULTS, LogFormat, Origin, Sources};
use tempfile::TempDir;

fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { file: None, env }
}

fn file(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("syncline.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn errors(sources: &Sources) -> ConfigErrors {
    Config::load(sources).expect_err("this configuration was accepted")
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:3000".parse::<SocketAddr>().unwrap());
    assert_eq!(config.worker.lease, Duration::from_secs(4));
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.connectors["hubspot"].search_spacing, Duration::from_millis(300));
    assert_eq!(config.secrets.encryption_key_bytes(), None);
}

#[test]
fn every_key_of_the_defaults_is_explained_above_it() {
    let lines: Vec<_> = DEFAULTS.lines().collect();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ")) {
        assert!(line.starts_with('#') || lines[number - 1].starts_with("# "), "no comment above `{line}`");
    }
}

#[test]
fn no_two_keys_share_a_variable() {
    let mut keys = BTreeMap::new();
    let table: toml::Table = DEFAULTS.parse().unwrap();
    let mut open: Vec<_> = table.into_iter().collect();
    while let Some((key, value)) = open.pop() {
        match value {
            toml::Value::Table(table) => {
                open.extend(table.into_iter().map(|(name, v)| (format!("{key}.{name}"), v)))
            }
            _ => assert_eq!(keys.insert(key.replace(['.', '-'], "_"), key.clone()), None, "{key}"),
        }
    }
    assert!(keys.len() > 40);
}

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_the_defaults() {
    let dir = TempDir::new().unwrap();
    let path = file(
        &dir,
        "[worker]\nlease_ms = 9000\nmax_attempts = 5\n[http]\n[connectors.hubspot]\npage_size = 7\n",
    );
    let env = env(&[("SYNCLINE_WORKER_LEASE_MS", "9500")]).env;
    let config = Config::load(&Sources { file: Some(path), env }).unwrap();
    assert_eq!(config.worker.lease, Duration::from_millis(9500));
    assert_eq!(config.worker.max_attempts, 5);
    assert_eq!(config.worker.takeovers_max, 10);
    assert_eq!(config.connectors["hubspot"].page_size, 7);
}

#[test]
fn a_variable_is_the_path_of_its_key() {
    let config = Config::load(&env(&[
        ("SYNCLINE_NATS_URL", "nats://elsewhere:4222"),
        ("SYNCLINE_WORKER_LEASE_MS", "5000"),
        ("SYNCLINE_CONNECTORS_HUBSPOT_BASE_URL", "http://127.0.0.1:9"),
        ("SYNCLINE_HTTP_LISTEN", "0.0.0.0:80"),
        ("PATH", "/bin"),
    ]))
    .unwrap();
    assert_eq!(config.nats.url.expose(), "nats://elsewhere:4222");
    assert_eq!(config.worker.lease, Duration::from_secs(5));
    assert_eq!(config.connectors["hubspot"].base_url, "http://127.0.0.1:9");
    assert_eq!(config.http.listen.port(), 80);
}

#[test]
fn database_url_stands_in_until_our_own_variable_is_there() {
    let plain = ("DATABASE_URL", "postgres://a/a");
    let own = ("SYNCLINE_DATABASE_URL", "postgres://b/b");
    assert_eq!(Config::load(&env(&[plain])).unwrap().database.url.expose(), "postgres://a/a");
    assert_eq!(Config::load(&env(&[own, plain])).unwrap().database.url.expose(), "postgres://b/b");
}

#[test]
fn syncline_config_names_the_file_unless_one_was_passed() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "[http]\nbody_max_bytes = 5");
    let mut sources = env(&[("SYNCLINE_CONFIG", path.to_str().unwrap())]);
    assert_eq!(Config::load(&sources).unwrap().http.body_max_bytes, 5);
    sources.file = Some(dir.path().join("not-there.toml"));
    let text = errors(&sources).to_string();
    assert!(text.contains("not-there.toml") && text.contains("No such file"), "{text}");
}

#[test]
fn all_errors_are_said_at_once_each_with_its_source() {
    let dir = TempDir::new().unwrap();
    let text = "colour = 1\n[nothing]\n[http]\nbody_max_bytes = \"big\"\nlisten = \"nowhere\"\n[worker]\nlese_ms = 1\n";
    let sources = Sources {
        file: Some(file(&dir, text)),
        env: env(&[
            ("SYNCLINE_WORKER_HEARTBEAT_MS", "4000"),
            ("SYNCLINE_WORKER_MAX_ATTEMPTS", "many"),
            ("SYNCLINE_WROKER_LEASE_MS", "1"),
            ("SYNCLINE_LOG_FORMAT", "xml"),
            ("SYNCLINE_LOG_FILTER", "a=b=c"),
            ("SYNCLINE_SECRETS_ENCRYPTION_KEY", "hunter2"),
            ("SYNCLINE_INGRESS_BATCH_MAX", "0"),
        ])
        .env,
    };
    let errors = errors(&sources);
    let mut keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "SYNCLINE_WROKER_LEASE_MS",
        "colour",
        "http.body_max_bytes",
        "http.listen",
        "ingress.batch_max",
        "log.filter",
        "log.format",
        "nothing",
        "secrets.encryption_key",
        "worker.heartbeat_ms",
        "worker.lese_ms",
        "worker.max_attempts",
    ];
    assert_eq!(keys, expected, "{errors}");

    let of = |key: &str| errors.0.iter().find(|error| error.key == key).unwrap().to_string();
    let misspelt = of("worker.lese_ms");
    assert!(
        misspelt.contains("syncline.toml") && misspelt.ends_with("perhaps worker.lease_ms"),
        "{misspelt}"
    );
    assert_eq!(
        of("worker.max_attempts"),
        "worker.max_attempts (from environment variable SYNCLINE_WORKER_MAX_ATTEMPTS): \
         found \"many\", expected a whole number from 1 to 4294967295"
    );
    assert!(of("SYNCLINE_WROKER_LEASE_MS").ends_with("perhaps SYNCLINE_WORKER_LEASE_MS"));
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn jobs_may_be_kept_for_ever_and_for_a_hundred_years() {
    assert_eq!(Config::load(&env(&[])).unwrap().scheduler.retention_days, 30);
    for days in [0, 1, 36_500] {
        let sources = env(&[("SYNCLINE_SCHEDULER_RETENTION_DAYS", &days.to_string())]);
        assert_eq!(Config::load(&sources).unwrap().scheduler.retention_days, days);
    }
}

#[test]
fn a_share_of_the_quota_is_a_number_up_to_one_from_the_environment_too() {
    let share = |config: Config| f64::from(config.connectors["hubspot"].quota_share);
    assert_eq!(share(Config::load(&env(&[])).unwrap()), 0.9);
    for (text, expected) in [("0.29", 0.29), ("1", 1.0), ("1.0", 1.0)] {
        let config = Config::load(&env(&[("SYNCLINE_CONNECTORS_HUBSPOT_QUOTA_SHARE", text)])).unwrap();
        assert_eq!(share(config.clone()), expected);
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("syncline.toml");
        config.write_to(&file).unwrap();
        assert_eq!(share(Config::load(&Sources { file: Some(file), env: Vec::new() }).unwrap()), expected);
    }
}

#[test]
fn relations_between_values_are_checked() {
    for (name, value, key, text) in [
        ("WORKER_HEARTBEAT_MS", "2000", "worker.heartbeat_ms", "less than half of worker.lease_ms (4000"),
        ("WORKER_LEASE_MS", "2000", "worker.heartbeat_ms", "worker.lease_ms (2000, from environment"),
        ("SHUTDOWN_DEADLINE_MS", "10000", "http.request_timeout_ms", "less than shutdown.deadline_ms (10000"),
        ("INGRESS_QUEUE_MAX", "255", "ingress.batch_max", "at most ingress.queue_max (255"),
        ("HTTP_BODY_MAX_BYTES", "0", "http.body_max_bytes", "from 1 to"),
        ("CONNECTORS_HUBSPOT_OBJECTS_LIMIT", "0", "connectors.hubspot.objects_limit", "from 1 to"),
        ("CONNECTORS_HUBSPOT_QUOTA_SHARE", "0", "connectors.hubspot.quota_share", "above 0 and at most 1"),
        ("CONNECTORS_HUBSPOT_QUOTA_SHARE", "1.5", "connectors.hubspot.quota_share", "above 0 and at most 1"),
        ("CONNECTORS_HUBSPOT_QUOTA_SHARE", "nan", "connectors.hubspot.quota_share", "above 0 and at most 1"),
        ("CONNECTORS_HUBSPOT_QUOTA_SHARE", "most", "connectors.hubspot.quota_share", "a number, such as 0.9"),
        ("CONNECTORS_HUBSPOT_BASE_URL", "file:///etc", "connectors.hubspot.base_url", "https://"),
        ("WORKER_LEASE_MS", "4294967296", "worker.lease_ms", "to 4294967295"),
        ("SCHEDULER_RETENTION_DAYS", "36501", "scheduler.retention_days", "at most 36500, or 0"),
        ("NATS_URL", "http://x", "nats.url", "nats://"),
    ] {
        let errors = errors(&env(&[(&format!("SYNCLINE_{name}"), value)]));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, key);
        assert!(errors.0[0].expected.contains(text), "{errors}");
    }
}

#[test]
fn a_worker_without_any_slot_is_refused_and_one_with_a_single_class_is_not() {
    let none =
        ["HIGH", "NORMAL", "LOW"].map(|class| (format!("SYNCLINE_WORKER_SLOTS_{class}"), "0".to_owned()));
    assert_eq!(errors(&Sources { file: None, env: none.to_vec() }).0.len(), 1);
    assert!(Config::load(&Sources { file: None, env: none[..2].to_vec() }).is_ok());
}

#[test]
fn a_value_that_is_wrong_already_is_not_blamed_for_a_relation_too() {
    let errors = errors(&env(&[("SYNCLINE_WORKER_HEARTBEAT_MS", "soon"), ("SYNCLINE_WORKER_LEASE_MS", "1")]));
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn what_a_service_needs_is_required_together_with_everything_else() {
    let sources = env(&[("SYNCLINE_WORKER_MAX_ATTEMPTS", "0")]);
    let errors = Config::load_requiring(&sources, &["database.url", "nats.url"]).unwrap_err();
    assert_eq!(errors.0.len(), 3, "{errors}");
    assert_eq!(errors.0[1].origin, Origin::Defaults);
}

#[test]
fn a_file_that_is_no_toml_says_the_line_but_not_what_is_in_it() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "[secrets]\n\nencryption_key = hunter2\n");
    let text = errors(&Sources { file: Some(path), env: Vec::new() }).to_string();
    assert!(text.contains("in line 3"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_written_configuration_reads_back_and_only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let key = "0f".repeat(32);
    let config = Config::load(&env(&[
        ("DATABASE_URL", "postgres://me:secret@127.0.0.1:5432/syncline"),
        ("SYNCLINE_SECRETS_ENCRYPTION_KEY", &key),
        ("SYNCLINE_WORKER_LEASE_MS", "12345"),
    ]))
    .unwrap();
    let path = dir.path().join("for-workers.toml");
    config.write_to(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = Config::load(&Sources { file: Some(path), env: Vec::new() }).unwrap();
    assert_eq!(read, config);
    assert_eq!(read.secrets.encryption_key_bytes(), Some([15; 32]));
}
