//! Each behaviour of the server, seen from a plain socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::{Behaviour, Server, Step};

fn connect(server: &Server, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
    stream
}

/// Everything the server sends; it keeps connections open, so the client says when it is done.
fn get(server: &Server, path: &str, headers: &str) -> String {
    let mut stream = connect(server, path, headers);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn server(behaviour: Behaviour) -> Server {
    Server::start([("/a", behaviour)])
}

#[test]
fn bodies_come_with_their_media_type() {
    let server = server(Behaviour::Ok(b"body".to_vec(), "image/png"));
    let answer = get(&server, "/a?b=c", "X-Mark: yes\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-type: image/png"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbody"));
    assert_eq!((server.hits("/a"), server.hits("/b")), (1, 0));
    assert_eq!(server.requests()[0].headers["x-mark"], "yes");
}

#[test]
fn statuses_and_redirects_are_sent() {
    let server = server(Behaviour::Status(503));
    server.route("/b", Behaviour::Redirect("/a".to_owned()));
    server.route("/c", Behaviour::OkWith(vec![], vec![("x-robots-tag", "noai".to_owned())]));
    assert!(get(&server, "/a", "").starts_with("HTTP/1.1 503"));
    assert!(get(&server, "/b", "").contains("location: /a\r\n"));
    assert!(get(&server, "/c", "").contains("x-robots-tag: noai\r\n"));
    assert!(get(&server, "/unknown", "").starts_with("HTTP/1.1 404"));
}

#[test]
fn half_a_body_is_cut_off() {
    let answer = get(&server(Behaviour::HalfBody(b"12345678".to_vec())), "/a", "");
    assert!(answer.contains("content-length: 8\r\n") && answer.ends_with("\r\n\r\n1234"), "{answer}");
}

#[test]
fn slow_bodies_arrive_whole() {
    let slow = Behaviour::Slow { body: b"12345".to_vec(), piece: 2, pause: Duration::from_millis(1) };
    assert!(get(&server(slow), "/a", "").ends_with("\r\n\r\n12345"));
}

#[test]
fn ranges_are_cut_out() {
    let server = server(Behaviour::Ranges(b"0123456789".to_vec()));
    let part = get(&server, "/a", "Range: bytes=4-6\r\n");
    assert!(part.contains("content-range: bytes 4-6/10\r\n") && part.ends_with("\r\n\r\n456"), "{part}");
    assert!(get(&server, "/a", "Range: bytes=8-\r\n").ends_with("\r\n\r\n89"));
    assert!(get(&server, "/a", "Range: bytes=10-\r\n").starts_with("HTTP/1.1 416"));
    assert!(get(&server, "/a", "").ends_with("\r\n\r\n0123456789"));
}

#[test]
fn a_behaviour_can_change_after_some_requests() {
    let then = Behaviour::Then(2, Box::new(Behaviour::Status(500)), Box::new(Behaviour::Empty));
    let server = server(then);
    let codes: Vec<String> = (0..4).map(|_| get(&server, "/a", "")[9..12].to_owned()).collect();
    assert_eq!(codes, ["500", "500", "200", "200"]);
}

#[test]
fn one_connection_serves_several_requests() {
    let server = server(Behaviour::Html("<p>".to_owned()));
    let mut stream = connect(&server, "/a", "");
    write!(stream, "GET /a HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn a_silent_server_can_still_be_dropped() {
    let server = server(Behaviour::Never);
    let mut stream = connect(&server, "/a", "");
    while server.hits("/a") == 0 {
        std::thread::yield_now();
    }
    drop(server);
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn a_script_is_said_step_by_step() {
    let answer = Step::answer("200 OK\nx-a: b", b"body");
    let server = server(Behaviour::Script(vec![answer, Step::Drip(b"more".to_vec(), Duration::ZERO)]));
    let said = get(&server, "/a", "");
    assert_eq!(said, "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbodymore");
    server.route("/b", Behaviour::Script(vec![Step::Send(b"x".to_vec()), Step::HangUp, Step::Send(b"y".to_vec())]));
    assert_eq!(get(&server, "/b", ""), "x");
    assert_eq!(Step::chunk(b"0123456789"), b"a\r\n0123456789\r\n");
}

#[test]
fn a_connection_can_be_reset() {
    let server = server(Behaviour::Script(vec![Step::Reset]));
    let mut stream = connect(&server, "/a", "");
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
