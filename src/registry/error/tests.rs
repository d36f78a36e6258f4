use super::*;

#[test]
fn status_and_code_decide_and_the_text_never_does() {
    let after = Some(Duration::from_secs(3));
    for (status, code, kind) in [
        (401, "TOOMANYREQUESTS", Kind::Unauthorized),
        (403, "TOOMANYREQUESTS", Kind::RateLimited { retry_after: after }),
        (403, "DENIED", Kind::Denied),
        (400, "DENIED", Kind::Denied),
        (400, "UNSUPPORTED", Kind::Unsupported),
        (400, "MANIFEST_INVALID", Kind::Rejected),
        (404, "NAME_UNKNOWN", Kind::NotFound),
        (405, "", Kind::Unsupported),
        (408, "", Kind::Unavailable { retry_after: after }),
        (413, "SIZE_INVALID", Kind::TooLarge),
        (429, "", Kind::RateLimited { retry_after: after }),
        (500, "UNKNOWN", Kind::Unavailable { retry_after: after }),
        (503, "DENIED", Kind::Unavailable { retry_after: after }),
        (304, "", Kind::Protocol),
    ] {
        let said = [Said { code: code.to_owned(), message: "not found, denied, 429, timeout".to_owned() }];
        assert_eq!(classify(StatusCode::from_u16(status).unwrap(), &said, after), kind, "{status} {code}");
    }
}

#[test]
fn an_error_says_what_was_tried_what_came_back_and_the_way_out() {
    let body = br#"{"errors":[{"code":"DENIED","message":"no push"},{"code":"OWN_CODE"}]}"#;
    let answer = Answered {
        status: StatusCode::FORBIDDEN,
        body,
        retry_after: None,
        credential: Some("/home/me/.docker/config.json"),
    };
    let error = Task::new("write", "ghcr.io/o/app:1", "ghcr.io").answered(&reqwest::Method::PUT, &answer);
    assert_eq!(error.kind(), Kind::Denied);
    assert_eq!(
        error.to_string(),
        "could not write ghcr.io/o/app:1: 403 Forbidden (DENIED: no push; OWN_CODE)"
    );
    let rendered = crate::error::render(&error.into());
    assert!(rendered.contains("hint: the account of /home/me/.docker/config.json may not"), "{rendered}");
}

#[test]
fn an_answer_is_read_whatever_its_codes_are() {
    let said = |code: &str, message: &str| Said { code: code.to_owned(), message: message.to_owned() };
    let unknown = said("MANIFEST_UNKNOWN", "gone");
    for (body, expected) in [
        (
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone","detail":{"Tag":"1"}}]}"#,
            vec![unknown.clone()],
        ),
        (r#"{"Errors":[{"Code":"MANIFEST_UNKNOWN","Message":"gone"},null,{}]}"#, vec![unknown.clone()]),
        (
            r#"{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"not scanned"},{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#,
            vec![said("PROJECTPOLICYVIOLATION", "not scanned"), unknown],
        ),
        (r#"{"errors":[{"status":404,"message":"no path"}]}"#, vec![said("", "no path")]),
        (r#"{"errors":[{"code":404,"message":null}]}"#, vec![said("404", "")]),
        (r#"{"errors":["gone"]}"#, vec![]),
        (r#"{"errors":null}"#, vec![]),
        ("<html>", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(super::said(body.as_bytes()), expected, "{body}");
    }
    let answer = Answered {
        status: StatusCode::PRECONDITION_FAILED,
        body: br#"{"errors":[{"message":"not scanned"}]}"#,
        retry_after: None,
        credential: None,
    };
    let error = Task::new("write", "r/app:1", "r").answered(&reqwest::Method::PUT, &answer);
    assert_eq!(error.to_string(), "could not write r/app:1: 412 Precondition Failed (not scanned)");
}
