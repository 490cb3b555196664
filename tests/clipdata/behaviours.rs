//! One download of a list with everything that servers do: each row ends in the state that `docs/failures.md` names.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use serde_json::{Value, json};
use support::compressed::{brotli, deflate, gzip};
use support::{Behaviour, Format, Server, Step, picture};
use tempfile::TempDir;

use crate::clipdata;

/// The cap that the test sets on a body.
const MAX_BODY_BYTES: usize = 1_000_000;

/// A path, what the server does there, and the name that the row is counted under.
type Case = (String, Behaviour, &'static str);

fn case(path: &str, behaviour: Behaviour, kind: &'static str) -> Case {
    (path.to_owned(), behaviour, kind)
}

fn script<const N: usize>(path: &str, steps: [Step; N], kind: &'static str) -> Case {
    case(path, Behaviour::Script(steps.to_vec()), kind)
}

/// A whole answer: the status line and headers, the body, and how the row ends.
fn answer(path: &str, head: &str, body: &[u8], kind: &'static str) -> Case {
    script(path, [Step::answer(head, body)], kind)
}

fn jpeg() -> Vec<u8> {
    picture(7, 120, 90, Format::Jpeg)
}

fn statuses() -> Vec<Case> {
    let codes = [(401, "http_401"), (403, "http_403"), (404, "http_404"), (410, "http_410"), (451, "http_451")];
    let mut cases: Vec<_> =
        codes.iter().map(|(code, kind)| case(&format!("/status/{code}"), Behaviour::Status(*code), kind)).collect();
    let once = |first: Step| Behaviour::Then(1, Box::new(Behaviour::Script(vec![first])), Box::new(good()));
    cases.extend([
        case("/always/503", Behaviour::Status(503), "http_503"),
        case("/always/429", Behaviour::Status(429), "http_429"),
        case("/once/429", once(Step::answer("429 Too Many Requests\nretry-after: 1", b"")), "success"),
        case("/once/500", once(Step::answer("500 Internal Server Error", b"oh")), "success"),
        case("/once/half", Behaviour::Then(1, Box::new(Behaviour::HalfBody(jpeg())), Box::new(good())), "success"),
        answer("/odd/204", "204 No Content", b"", "empty"),
        answer("/odd/206", "206 Partial Content\ncontent-range: bytes 0-9/10", &jpeg(), "success"),
        answer("/odd/304", "304 Not Modified", b"", "http_304"),
        answer("/odd/999", "999", b"", "http_999"),
    ]);
    cases
}

fn good() -> Behaviour {
    Behaviour::Ok(jpeg(), "image/jpeg")
}

fn redirects() -> Vec<Case> {
    let to = |path: &str, location: &str, kind| case(path, Behaviour::Redirect(location.to_owned()), kind);
    let mut cases = vec![
        case("/there", good(), "success"),
        to("/moved/relative", "../there", "success"),
        to("/moved/loop", "/moved/loop", "redirect"),
        to("/moved/there", "/moved/back", "redirect"),
        to("/moved/back", "/moved/there", "redirect"),
        to("/moved/file", "file:///etc/passwd", "scheme"),
        to("/moved/data", "data:image/png;base64,AAAA", "scheme"),
        to("/moved/nowhere", "http://", "redirect"),
        to("/moved/empty", "", "redirect"),
        answer("/moved/unsaid", "302 Found", b"", "http_302"),
        answer("/moved/307", "307 Temporary Redirect\nlocation: /there", b"a body", "success"),
        answer("/moved/308", "308 Permanent Redirect\nlocation: /there", b"", "success"),
    ];
    for length in [1, 5, 6, 20] {
        let kind = if length <= 5 { "success" } else { "redirect" };
        cases.push(to(&format!("/chain/{length}"), &format!("/hop/{length}/1"), kind));
        for hop in 1..length {
            cases.push(to(&format!("/hop/{length}/{hop}"), &format!("/hop/{length}/{}", hop + 1), "unlisted"));
        }
        cases.push(case(&format!("/hop/{length}/{length}"), good(), "unlisted"));
    }
    cases
}

fn bodies() -> Vec<Case> {
    let jpeg = jpeg();
    let half = &jpeg[..jpeg.len() / 2];
    let chunked = |end: &[u8]| {
        [
            Step::head("200 OK\ntransfer-encoding: chunked"),
            Step::chunk(&jpeg[..50]),
            Step::chunk(&jpeg[50..]),
            end.to_vec(),
        ]
        .concat()
    };
    let endless = Step::ForEver(vec![0xff; 100_000]);
    vec![
        case("/body/good", good(), "success"),
        case("/body/empty", Behaviour::Empty, "empty"),
        case("/body/page", Behaviour::Html("<html>gone</html>".to_owned()), "not_an_image"),
        answer("/body/page-as-picture", "200 OK\ncontent-type: image/jpeg", b"<!doctype html>", "not_an_image"),
        answer("/body/picture-as-page", "200 OK\ncontent-type: text/html", &jpeg, "success"),
        answer("/body/drawing", "200 OK\ncontent-type: image/svg+xml", b"<svg/>", "not_an_image"),
        answer("/body/half-a-picture", "200 OK", half, "truncated_image"),
        case("/body/half", Behaviour::HalfBody(jpeg.clone()), "truncated_body"),
        script(
            "/body/longer-than-announced",
            [Step::Send([Step::head(&format!("200 OK\ncontent-length: {}", half.len())), jpeg.clone()].concat())],
            "truncated_image",
        ),
        script(
            "/body/reset",
            [Step::Send([Step::head("200 OK\ncontent-length: 5000"), half.to_vec()].concat()), Step::Reset],
            "truncated_body",
        ),
        script(
            "/body/announced-too-large",
            [Step::Send(Step::head("200 OK\ncontent-length: 1000000000000")), Step::Hold],
            "too_large",
        ),
        script("/body/endless", [Step::Send(Step::head("200 OK")), endless], "too_large"),
        script(
            "/body/endless-chunks",
            [Step::Send(Step::head("200 OK\ntransfer-encoding: chunked")), Step::ForEver(Step::chunk(&[0xff; 10_000]))],
            "too_large",
        ),
        script("/body/chunks", [Step::Send(chunked(b"0\r\n\r\n"))], "success"),
        script("/body/chunks-and-trailer", [Step::Send(chunked(b"0\r\nx-sum: 1\r\n\r\n"))], "success"),
        script("/body/chunks-cut", [Step::Send(chunked(b"")), Step::HangUp], "truncated_body"),
        script("/body/chunks-wrong", [Step::Send(chunked(b"zz\r\n")), Step::HangUp], "truncated_body"),
        script(
            "/body/until-the-end",
            [Step::Send([b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), jpeg.clone()].concat()), Step::HangUp],
            "success",
        ),
    ]
}

fn encodings() -> Vec<Case> {
    let jpeg = jpeg();
    let bomb = gzip(&vec![0; MAX_BODY_BYTES * 20]);
    let packed = gzip(&jpeg);
    let cut = &packed[..packed.len() / 2];
    let encoded = |path: &str, encoding: &str, body: &[u8], kind| {
        answer(path, &format!("200 OK\ncontent-encoding: {encoding}"), body, kind)
    };
    vec![
        encoded("/packed/gzip", "gzip", &packed, "success"),
        encoded("/packed/deflate", "deflate", &deflate(&jpeg), "success"),
        encoded("/packed/brotli", "br", &brotli(&jpeg), "success"),
        encoded("/packed/twice", "deflate, gzip", &gzip(&deflate(&jpeg)), "success"),
        encoded("/packed/not-at-all", "identity", &jpeg, "success"),
        encoded("/packed/bomb", "gzip", &bomb, "too_large"),
        encoded("/packed/wrong", "gzip", &jpeg, "content_encoding"),
        encoded("/packed/cut", "gzip", cut, "content_encoding"),
        encoded("/packed/unknown", "rot13", &jpeg, "content_encoding"),
        encoded("/packed/again-and-again", "gzip, gzip, gzip, gzip, gzip", &packed, "content_encoding"),
    ]
}

fn opt_outs() -> Vec<Case> {
    let tagged = |path: &str, tags: &str, kind| answer(path, &format!("200 OK\n{tags}"), &jpeg(), kind);
    vec![
        tagged("/tag/noai", "x-robots-tag: noai", "opt_out"),
        tagged("/tag/second", "x-robots-tag: nofollow\nX-Robots-Tag: NoImageAI", "opt_out"),
        tagged("/tag/dated", "x-robots-tag: unavailable_after: 25 Jun 2010 15:00:00 PST, noindex", "opt_out"),
        tagged("/tag/addressed", "x-robots-tag: clipdata: noindex", "opt_out"),
        tagged("/tag/other", "x-robots-tag: otherbot: noai, noindex", "success"),
        tagged("/tag/harmless", "x-robots-tag: nofollow", "success"),
    ]
}

fn heads() -> Vec<Case> {
    let raw = |path: &str, bytes: &[u8], kind| script(path, [Step::Send(bytes.to_vec()), Step::HangUp], kind);
    let ok = |head: &str| [Step::head(head), jpeg()].concat();
    let length = jpeg().len();
    let many = |count: usize| -> String { (0..count).map(|i| format!("\nx-{i}: {i}")).collect() };
    let early = [b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Step::head("103 Early Hints\nlink: </x>")].concat();
    let mut early_then_good = early;
    early_then_good.extend(ok(&format!("200 OK\ncontent-length: {length}")));
    vec![
        raw("/head/ssh", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol"),
        raw("/head/nothing", b"", "protocol"),
        raw("/head/half", b"HTTP/1.1 200 O", "protocol"),
        script(
            "/head/endless",
            [Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::ForEver(b"x: y\r\n".to_vec())],
            "protocol",
        ),
        raw("/head/huge", &ok(&format!("200 OK\nx-long: {}", "x".repeat(1 << 20))), "protocol"),
        raw("/head/many", &ok(&format!("200 OK{}", many(500))), "protocol"),
        raw("/head/some", &ok(&format!("200 OK\ncontent-length: {length}{}", many(60))), "success"),
        raw("/head/control-characters", &ok("200 OK\nx-odd: \u{1}\u{2}"), "protocol"),
        raw("/head/other-letters", &ok(&format!("200 OK\nx-odd: caf\u{e9}\ncontent-length: {length}")), "success"),
        raw("/head/two-lengths", &ok("200 OK\ncontent-length: 5\ncontent-length: 6"), "protocol"),
        raw("/head/negative-length", &ok("200 OK\ncontent-length: -1"), "protocol"),
        raw("/head/early", &early_then_good, "success"),
        case("/head/hang-up", Behaviour::HangUp, "protocol"),
    ]
}

fn silences() -> Vec<Case> {
    let pause = Duration::from_millis(150);
    let head = Step::head("200 OK\ncontent-length: 1000");
    vec![
        case("/slow/never", Behaviour::Never, "timeout"),
        script("/slow/head", [Step::Drip(Step::head(&format!("200 OK\nx: {}", "x".repeat(200))), pause)], "timeout"),
        script("/slow/body", [Step::Send(head.clone()), Step::Drip(vec![0xff; 1000], pause)], "timeout"),
        script("/slow/half", [Step::Send(head), Step::Hold], "timeout"),
    ]
}

fn cases() -> Vec<Case> {
    [statuses(), redirects(), bodies(), encodings(), opt_outs(), heads(), silences()].concat()
}

/// How each row ended: `status_dict` of a shard of one row.
fn outcomes(folder: &TempDir, count: usize) -> Vec<String> {
    let outcome = |shard: usize| {
        let path = folder.path().join(format!("shards/{shard:05}_stats.json"));
        let stats: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let states: Vec<String> = stats["status_dict"].as_object().unwrap().keys().cloned().collect();
        states.join(" and ")
    };
    (0..count).map(outcome).collect()
}

#[test]
fn each_behaviour_ends_in_its_documented_state() {
    let cases = cases();
    let server = Server::start(cases.iter().map(|(path, behaviour, _)| (path.clone(), behaviour.clone())));
    let deaf = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let listed = cases.iter().filter(|(_, _, kind)| *kind != "unlisted");
    let mut rows: Vec<(String, &str)> = listed.map(|(path, _, kind)| (server.url(path), *kind)).collect();
    rows.extend([
        (format!("http://{}/", deaf.local_addr().unwrap()), "timeout"),
        (format!("http://{closed}/"), "connect"),
        (server.url("/body/good").replace("http://", "http://user:secret@"), "success"),
        (server.url("/body/good") + "#a fragment", "success"),
        ("file:///etc/passwd".to_owned(), "scheme"),
        ("http://".to_owned(), "bad_url"),
        ("nonsense".to_owned(), "bad_url"),
    ]);
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, rows.iter().map(|(url, _)| format!("{url}\n")).collect::<String>()).unwrap();
    let _ = clipdata()
        .arg("download")
        .arg(&list)
        .arg("--output-folder")
        .arg(folder.path().join("shards"))
        .args(["--allow-private-addresses", "--number-sample-per-shard", "1", "--image-size", "32"])
        .args(["--timeout", "3", "--retries", "2", "--max-connections-per-host", "256"])
        .args(["--max-body-bytes", &MAX_BODY_BYTES.to_string()])
        .timeout(Duration::from_secs(100))
        .run()
        .success();
    let outcomes = outcomes(&folder, rows.len());
    let wrong: BTreeMap<_, _> = rows.iter().zip(&outcomes).filter(|((_, kind), outcome)| kind != outcome).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rows.len() > 80, "{}", rows.len());
    assert_eq!(server.hits("/status/404"), 1, "what cannot change is not asked for again");
    assert_eq!(server.hits("/always/503"), 3);
}

/// Downloads `urls` and returns how many rows ended in which way.
fn counted(urls: &[String], more: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, urls.join("\n")).unwrap();
    let finished = clipdata()
        .arg("download")
        .arg(&list)
        .arg("--output-folder")
        .arg(folder.path().join("shards"))
        .args(["--allow-private-addresses", "--json", "--image-size", "32"])
        .args(more)
        .run();
    finished.json_data("summary").pop().expect("a summary")
}

#[test]
fn robots_txt_is_read_once_and_obeyed_at_every_hop() {
    let text = "User-agent: *\nDisallow: /\n\nUser-agent: clipdata\nDisallow: /private/\nAllow: /private/*.jpg$\n";
    let server = Server::start([
        ("/robots.txt", Behaviour::Ok(text.into(), "text/plain")),
        ("/open.jpg", good()),
        ("/private/allowed.jpg", good()),
        ("/private/no.png", good()),
        ("/to-private", Behaviour::Redirect("/private/no.png".to_owned())),
    ]);
    let paths = ["/open.jpg", "/private/allowed.jpg", "/private/no.png", "/to-private"];
    let urls = paths.map(|path| server.url(path));
    let summary = counted(&urls, &["--robots-txt"]);
    assert_eq!(summary["failures_by_kind"], json!({ "robots_txt": 2 }), "{summary}");
    assert_eq!((server.hits("/robots.txt"), server.hits("/private/no.png")), (1, 0));
    assert_eq!(counted(&urls, &[])["successes"], 4, "without the option it is not read");
}

#[test]
fn a_missing_robots_txt_allows_and_a_broken_one_forbids() {
    let server = |behaviour| Server::start([("/robots.txt", behaviour), ("/a.jpg", good())]);
    let cases = [
        (Behaviour::Status(404), json!({})),
        (Behaviour::Status(403), json!({})),
        (Behaviour::Html("<html>".to_owned()), json!({})),
        (Behaviour::Status(503), json!({ "robots_txt": 1 })),
        (Behaviour::HangUp, json!({ "protocol": 1 })),
    ];
    for (behaviour, kinds) in cases {
        let server = server(behaviour.clone());
        let summary = counted(&[server.url("/a.jpg")], &["--robots-txt"]);
        assert_eq!(summary["failures_by_kind"], kinds, "{behaviour:?}: {summary}");
    }
}

#[test]
fn servers_see_the_user_agent_that_was_asked_for() {
    let server = Server::start([("/a.jpg", good())]);
    let _ = counted(&[server.url("/a.jpg")], &[]);
    let _ = counted(&[server.url("/a.jpg")], &["--user-agent", "Lab-Bot/2 (+https://lab.example)"]);
    let seen: Vec<_> = server.requests().iter().map(|request| request.headers["user-agent"].clone()).collect();
    assert!(seen[0].starts_with("clipdata/"), "{}", seen[0]);
    assert_eq!(seen[1], "Lab-Bot/2 (+https://lab.example)");
}

#[test]
fn a_host_that_asks_for_it_is_left_alone_by_all_rows() {
    let busy = Behaviour::Script(vec![Step::answer("503 Service Unavailable\nretry-after: 1", b"")]);
    let server =
        Server::start([("/busy.jpg", Behaviour::Then(1, Box::new(busy), Box::new(good()))), ("/good.jpg", good())]);
    let urls = [server.url("/busy.jpg"), server.url("/good.jpg")];
    let summary = counted(&urls, &["--retries", "1", "--max-connections-per-host", "1"]);
    assert_eq!(summary["successes"], 2, "{summary}");
    assert_eq!((server.hits("/busy.jpg"), server.hits("/good.jpg")), (2, 1));
}

#[test]
fn large_bodies_that_stall_take_no_memory_from_others() {
    // Half of what there is for bodies is 8 MB; the stalled ones hold 20 MB together.
    let stalled = Behaviour::Slow { body: vec![7; 3 << 20], piece: 2 << 20, pause: Duration::from_secs(60) };
    let noise: Vec<u8> = (0..900_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut large = picture(3, 200, 150, Format::Jpeg);
    // Bytes behind the end of a JPEG are allowed.
    large.extend_from_slice(&noise);
    let routes = (0..10).map(|i| (format!("/stalled/{i}"), stalled.clone()));
    let routes = routes.chain((0..10).map(|i| (format!("/large/{i}"), Behaviour::Ok(large.clone(), "image/jpeg"))));
    let server = Server::start(routes);
    let urls: Vec<String> = ["stalled", "large"]
        .iter()
        .flat_map(|kind| (0..10).map(|i| server.url(&format!("/{kind}/{i}"))).collect::<Vec<_>>())
        .collect();
    let summary = counted(&urls, &["--timeout", "3", "--max-memory", "148MB", "--max-connections-per-host", "20"]);
    assert_eq!(summary["successes"], 10, "{summary}");
    assert_eq!(summary["failures_by_kind"], json!({ "timeout": 10 }), "{summary}");
}
