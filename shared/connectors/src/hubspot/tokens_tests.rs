use super::*;

fn issued(body: &Value, at: i64) -> Issued {
    Issued { at: Millis(at), ..Issued::read(body.to_string().as_bytes()).unwrap() }
}

#[test]
fn what_is_stored_is_what_came_back_and_the_rest_stays() {
    let old = Credentials::new(json!({"clientId": "c", "clientSecret": "s", "refreshToken": "r1",
        "accessToken": "a1", "expiresAt": "2020-01-01T00:00:00Z"}));
    let new =
        json!({"access_token": "a2", "refresh_token": "r2", "expires_in": 1_800, "token_type": "bearer"});
    let stored = issued(&new, 1_780_000_000_000).credentials(&old);
    assert_eq!(
        stored.expose(),
        &json!({"clientId": "c", "clientSecret": "s", "refreshToken": "r2", "accessToken": "a2",
            "expiresAt": "2026-05-28T20:56:40Z"})
    );
    for refresh_token in [Value::Null, json!("")] {
        let new = json!({"access_token": "a3", "refresh_token": refresh_token});
        let stored = issued(&new, 0).credentials(&stored);
        assert_eq!(stored.field("refreshToken"), Some("r2"));
        assert_eq!(stored.field("expiresAt"), None, "nobody said when");
    }
}

#[test]
fn a_token_is_replaced_a_minute_early_and_a_short_lived_one_at_half_its_life() {
    for (expires_in, refresh_at) in [
        (json!(1_800), Some(1_740_000)),
        (json!(120), Some(60_000)),
        (json!(10), Some(5_000)),
        (json!(0), None),
        (Value::Null, None),
    ] {
        let issued = issued(&json!({"access_token": "a", "expires_in": expires_in}), 0);
        assert_eq!(issued.refresh_at(), refresh_at.map(Millis), "{expires_in}");
    }
}

#[test]
fn an_answer_without_a_token_that_can_be_sent_is_unreadable() {
    for body in [json!({}), json!({"access_token": ""}), json!({"access_token": "a\nb"})] {
        let unreadable = Issued::read(body.to_string().as_bytes()).err().unwrap();
        assert!(!unreadable.0.contains("a\nb"), "{unreadable}");
    }
}

#[test]
fn a_connection_has_a_token_or_all_that_oauth_needs() {
    let missing = |given: &[&str]| SPEC.missing_credentials(|name| given.contains(&name));
    for whole in [
        &["accessToken"][..],
        &["refreshToken", "clientId", "clientSecret"],
        &["refreshToken", "clientId", "clientSecret", "accessToken", "expiresAt"],
    ] {
        assert_eq!(missing(whole), None, "{whole:?}");
    }
    let either = "`credentials` needs `accessToken` or else `refreshToken`, `clientId`, `clientSecret`.";
    assert_eq!(missing(&[]).as_deref(), Some(either));
    assert_eq!(missing(&["expiresAt"]).as_deref(), Some(either));
    let half = missing(&["accessToken", "clientId", "clientSecret"]).unwrap();
    assert!(half.starts_with("`credentials.refreshToken` is missing: "), "{half}");
}
