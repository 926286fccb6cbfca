//! What each shape sends, and what it makes of answers.

use super::*;

const NGINX: &[&str] = &[
    "on_connect",
    "on_disconnect",
    "on_publish",
    "on_publish_done",
    "on_play",
    "on_play_done",
    "on_done",
];
const CONNECTION: &str = "app=live&flashver=FMLE%2F3.0&swfurl=http%3A%2F%2Fa%2Fp.swf&tcurl=rtmp%3A%2F%2Fmedia.example%2Flive%3Fkey%3Da%2520b&pageurl=http%3A%2F%2Fa%2F%3Fx%3D1&addr=203.0.113.7";

#[test]
fn nginx_rtmp_sends_forms() {
    let (plugin, script) = shaped("nginx-rtmp", NGINX, json!({}));
    script.answer(200, &[], "");
    let req = request(
        &plugin,
        "cam",
        &[("key", "k&1"), ("name", "spoofed"), ("addr", "::1")],
    );
    assert_eq!(
        body(&script),
        format!("{CONNECTION}&epoch=0&call=connect&key=a%20b")
    );
    script.answer(201, &[], "");
    publish(&plugin, &req).expect("2xx");
    assert_eq!(
        body(&script),
        format!("{CONNECTION}&clientid=7&call=publish&name=cam&type=live&key=k%261"),
        "the client cannot give fields of the server's"
    );
    script.answer(200, &[], "");
    play(&plugin, &req).expect("2xx");
    assert_eq!(
        body(&script),
        format!(
            "{CONNECTION}&clientid=7&call=play&name=cam&start=4294966296&duration=0&reset=0&key=k%261"
        )
    );
    let mut info = script::info("cam");
    info.publisher = req.client.clone();
    let sent = |script: &Script| -> Vec<String> {
        let requests = script.requests().into_iter();
        requests
            .map(|request| String::from_utf8(request.body).unwrap())
            .collect()
    };
    plugin.on_unpublished(&info, &script::end("closed"));
    let done = |call: &str| format!("{CONNECTION}&clientid=7&call={call}&name=cam&key=k%261");
    assert_eq!(sent(&script), [done("publish_done"), done("done")]);
    assert_eq!(script.kept(), 0, "nothing is left behind");
    plugin.on_play_ended(&req, &script::end("closed"));
    assert_eq!(sent(&script), [done("play_done"), done("done")]);
    plugin.on_disconnected(&req.client, &script::end("closed"));
    assert_eq!(
        sent(&script),
        [format!("{CONNECTION}&clientid=7&call=disconnect&key=a%20b")]
    );
}

#[test]
fn nginx_rtmp_counts_the_start_in_milliseconds() {
    let (plugin, script) = shaped("nginx-rtmp", &["on_play"], json!({}));
    let mut req = script::stream("cam", &[]);
    for (mode, start_seconds, expected) in [
        ("live", None, "4294966296"),
        ("any", None, "4294965296"),
        ("vod", Some(1.5), "1500"),
        ("vod", Some(1e12), "4294967295"),
    ] {
        req.mode = mode.into();
        req.start_seconds = start_seconds;
        script.answer(200, &[], "");
        play(&plugin, &req).expect("200");
        let body = body(&script);
        assert!(body.contains(&format!("&start={expected}&")), "{body}");
    }
}

#[test]
fn nginx_rtmp_may_use_get() {
    let hooks = json!({"on_publish": "http://127.0.0.1/a?b=c"});
    let config = json!({"shape": "nginx-rtmp", "hooks": hooks, "method": "GET"});
    let (plugin, script) = plugin(config);
    script.answer(200, &[], "");
    publish(&plugin, &script::stream("cam", &[])).expect("2xx");
    let requests = script.requests();
    assert_eq!(requests[0].method, "GET");
    let url = &requests[0].url;
    assert!(url.starts_with("http://127.0.0.1/a?b=c&app=live&"), "{url}");
    assert!(url.ends_with("&call=publish&name=cam&type=live"), "{url}");
    assert!(requests[0].body.is_empty());
}

#[test]
fn nginx_rtmp_takes_a_location_for_a_name_or_a_relay() {
    let (plugin, script) = shaped("nginx-rtmp", &["on_publish", "on_play"], json!({}));
    let req = script::stream("cam", &[]);
    for (status, location, name, url) in [
        (302, "studio1", Some("studio1"), None),
        (301, "/studio%201?x=1", Some("studio 1"), None),
        (
            307,
            "rtmp://other/live/cam",
            None,
            Some("rtmp://other/live/cam"),
        ),
    ] {
        for _ in 0..2 {
            script.answer(status, &[("Location", location)], "");
        }
        let grant = publish(&plugin, &req).expect("3xx");
        assert_eq!(grant.name.as_deref(), name);
        assert_eq!(grant.forward_to.first().map(String::as_str), url);
        let grant = play(&plugin, &req).expect("3xx");
        assert_eq!(grant.name.as_deref(), name);
        assert_eq!(grant.pull_from.as_deref(), url);
    }
    for (status, location) in [
        (302, ""),
        (302, "/"),
        (302, "http://a/b"),
        (400, "x"),
        (100, "x"),
        (403, "x"),
    ] {
        script.answer(status, &[("location", location)], "");
        assert!(publish(&plugin, &req).is_err(), "{status} {location}");
    }
}

#[test]
fn nginx_rtmp_may_send_connections_elsewhere() {
    let (plugin, script) = shaped("nginx-rtmp", &["on_connect"], json!({}));
    for (location, expected) in [
        ("other", "rtmp://media.example/other"),
        ("rtmp://b/live", "rtmp://b/live"),
    ] {
        script.answer(302, &[("Location", location)], "");
        let decision = plugin.on_connect(&connect_request());
        assert_eq!(decision, ConnectDecision::Redirect(expected.into()));
    }
    script.answer(404, &[], "");
    let decision = plugin.on_connect(&connect_request());
    assert!(
        matches!(decision, ConnectDecision::Reject(_)),
        "{decision:?}"
    );
}

#[test]
fn srs_sends_json() {
    let hooks = [
        "on_connect",
        "on_close",
        "on_publish",
        "on_unpublish",
        "on_play",
        "on_stop",
    ];
    let (plugin, script) = shaped("srs", &hooks, json!({"server_id": "s1"}));
    script.answer(200, &[], "0");
    let mut req = request(&plugin, "cam", &[("key", "k&1")]);
    let base = json!({
        "server_id": "s1", "action": "on_connect", "client_id": "7", "ip": "203.0.113.7",
        "vhost": "__defaultVhost__", "app": "live",
        "tcUrl": "rtmp://media.example/live?key=a%20b",
    });
    let with = |more: Value| {
        let mut object = base.clone();
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        object
    };
    assert_eq!(
        json_body(&script),
        with(json!({"pageUrl": "http://a/?x=1"}))
    );
    let of_stream = |action: &str| {
        with(json!({
            "action": action, "stream": "cam", "param": "?key=k%261",
            "stream_url": "__defaultVhost__/live/cam", "stream_id": "vid-8d2f4d7",
        }))
    };
    // The id is the same for all calls about a stream; its digits don't matter.
    let same = |mut body: Value| {
        let id = body["stream_id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("vid-") && id.len() == 11, "{id}");
        body["stream_id"] = json!("vid-8d2f4d7");
        body
    };
    script.answer(200, &[], r#"{"code": 0, "data": null}"#);
    publish(&plugin, &req).expect("code 0");
    assert_eq!(same(json_body(&script)), of_stream("on_publish"));
    script.answer(200, &[], "0");
    play(&plugin, &req).expect("0");
    let mut expected = of_stream("on_play");
    expected["pageUrl"] = json!("http://a/?x=1");
    assert_eq!(same(json_body(&script)), expected);
    let mut info = script::info("cam");
    info.publisher = req.client.clone();
    plugin.on_unpublished(&info, &script::end("closed"));
    assert_eq!(same(json_body(&script)), of_stream("on_unpublish"));
    plugin.on_play_ended(&req, &script::end("closed"));
    assert_eq!(same(json_body(&script)), of_stream("on_stop"));
    plugin.on_disconnected(&req.client, &script::end("closed"));
    let bytes = json!({"action": "on_close", "send_bytes": 200, "recv_bytes": 100});
    assert_eq!(json_body(&script), with(bytes));
    req.query = script::pairs(&[("vhost", "a.example")]);
    req.instance = Some("room1".into());
    play(&plugin, &req).unwrap_err();
    let body = json_body(&script);
    assert_eq!(body["stream_url"], "a.example/live/room1/cam");
    assert_eq!(body["app"], "live/room1");
}

#[test]
fn srs_allows_by_code() {
    let (plugin, script) = shaped("srs", &["on_publish"], json!({}));
    let req = script::stream("cam", &[]);
    let no = "the back end denies this";
    let failed = "the server that decides about this gives no answer, try again";
    for (status, answer, expected) in [
        (200, "0", Ok(())),
        (200, " 0\n", Ok(())),
        (200, r#"{"code": 0}"#, Ok(())),
        (200, "1", Err(no)),
        (200, r#"{"code": 403}"#, Err(no)),
        (
            200,
            r#"{"code": 1, "msg": "no such key\n"}"#,
            Err("no such key"),
        ),
        (201, "0", Err(no)),
        (302, "0", Err(no)),
        (404, "", Err(no)),
        (200, "", Err(failed)),
        (200, "OK", Err(failed)),
        (200, r#"{"msg": "x"}"#, Err(failed)),
        (200, r#"{"code": "0"}"#, Err(failed)),
        (500, "0", Err(failed)),
    ] {
        script.answer(status, &[], answer);
        let got = publish(&plugin, &req).map(|_| ());
        assert_eq!(got, expected.map_err(str::to_owned), "{status} {answer}");
    }
}

#[test]
fn mediamtx_sends_json() {
    let (plugin, script) = shaped("mediamtx", &["auth"], json!({}));
    let query = [("user", "ann"), ("pass", "p/w"), ("jwt", "t")];
    let mut req = request(&plugin, "cam", &query);
    assert_eq!(
        script.requests().len(),
        0,
        "connections are not asked about"
    );
    script.answer(204, &[], "");
    publish(&plugin, &req).expect("20x");
    let mut got = json_body(&script);
    let id = got["id"].take();
    assert_eq!(
        got,
        json!({
            "user": "ann", "password": "p/w", "token": "t", "ip": "203.0.113.7",
            "action": "publish", "path": "live/cam", "protocol": "rtmp", "id": null,
            "query": "user=ann&pass=p%2Fw&jwt=t", "userAgent": "FMLE/3.0",
        })
    );
    let id = id.as_str().unwrap();
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(id.as_bytes()[14], b'8', "a UUID of version 8: {id}");
    req.query.clear();
    script.answer(401, &[], "");
    play(&plugin, &req).expect_err("401");
    let got = json_body(&script);
    assert_eq!(got["action"], "read");
    assert_eq!(got["id"], id, "the same connection");
}
