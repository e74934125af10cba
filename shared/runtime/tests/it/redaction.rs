//! No secret of the configuration reaches a log.

use runtime::{Config, SecretUrl, Sources};

#[test]
fn debug_output_holds_no_secret() {
    let key = "ab".repeat(32);
    let env = [
        ("DATABASE_URL", "postgres://me:hunter2@db.example:5432/syncline?password=hunter3"),
        ("SYNCLINE_NATS_URL", "nats://me:hunter4@one:4222,nats://hunter5@two"),
        ("SYNCLINE_SECRETS_ENCRYPTION_KEY", &key),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let config = Config::load(&Sources { file: None, env }).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter") && !shown.contains(&key), "{shown}");
    assert!(shown.contains("postgres://db.example:5432/syncline"), "{shown}");
    assert!(shown.contains("nats://one:4222,nats://two"), "{shown}");
}

#[test]
fn what_cannot_be_taken_apart_is_not_shown_at_all() {
    for text in ["me:hunter2@host", "nats://a:hun,ter2@host", "hunter2"] {
        let shown = SecretUrl::from(text.to_owned()).to_string();
        assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
    }
}
