//! URLs that lead to this machine or its networks are refused in every disguise, before anything is sent.

use std::fs;

use serde_json::json;
use support::{Behaviour, Format, NameServer, Naming, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

/// One URL a line; `{port}` is one that a server of the test listens at.
const HOSTILE: &str = "
http://127.0.0.1:{port}/
http://127.0.0.2:{port}/
http://127.255.255.254:{port}/
http://127.1:{port}/
http://127.0.1:{port}/
http://2130706433:{port}/
http://0x7f000001:{port}/
http://0x7f.0.0.1:{port}/
http://0x7f.1:{port}/
http://0177.0.0.1:{port}/
http://017700000001:{port}/
http://0177.0.0x1:{port}/
http://127.0.0.1.:{port}/
http://127.0.0.%31:{port}/
http://%31%32%37.0.0.1:{port}/
http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:{port}/
http://127\u{3002}0\u{3002}0\u{3002}1:{port}/
http://\u{2460}\u{2461}\u{2466}.0.0.1:{port}/
http://0:{port}/
http://0.0.0.0:{port}/
http://0.1.2.3/
http://localhost:{port}/
http://LOCALHOST:{port}/
http://localhost.:{port}/
http://[::]:{port}/
http://[::1]:{port}/
http://[0:0:0:0:0:0:0:1]:{port}/
http://[::127.0.0.1]:{port}/
http://[::ffff:127.0.0.1]:{port}/
http://[::ffff:7f00:1]:{port}/
http://[::ffff:0:127.0.0.1]/
http://[fe80::1]/
http://[fec0::1]/
http://[fc00::1]/
http://[fd00:ec2::254]/latest/meta-data/
http://[ff02::1]/
http://[64:ff9b::127.0.0.1]/
http://[64:ff9b::a9fe:a9fe]/
http://[64:ff9b:1::a00:1]/
http://[2002:7f00:1::]/
http://[2002:a9fe:a9fe::1]/
http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/
http://[2001:db8::1]/
http://[2001:20::1]/
http://[3fff::1]/
http://[5f00::1]/
http://[100::1]/
http://10.0.0.1/
http://10.255.255.255/
http://100.64.0.1/
http://100.100.100.200/latest/meta-data/
http://100.127.255.255/
http://168.63.129.16/
http://169.254.169.254/latest/meta-data/
http://169.254.169.254:80/
http://2852039166/
http://0xa9fea9fe/
http://0251.0376.0251.0376/
http://172.16.0.1/
http://172.31.255.255/
http://192.0.0.192/
http://192.0.2.1/
http://192.88.99.1/
http://192.168.0.1/
http://198.18.0.1/
http://198.51.100.1/
http://203.0.113.1/
http://224.0.0.1/
http://239.255.255.250/
http://240.0.0.1/
http://255.255.255.255/
http://user@127.0.0.1:{port}/
http://8.8.8.8@127.0.0.1:{port}/
http://8.8.8.8:80@127.0.0.1:{port}/
http:127.0.0.1:{port}/
http:/127.0.0.1:{port}/
http:\\\\127.0.0.1:{port}/
HTTP://127.0.0.1:{port}/
";

#[test]
fn addresses_in_every_disguise_are_refused() {
    let server = Server::start([("/", Behaviour::Empty)]);
    let port = server.address().port().to_string();
    let addresses: Vec<_> = HOSTILE.lines().filter(|line| !line.is_empty()).collect();
    assert!(addresses.len() >= 60, "{}", addresses.len());
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, addresses.join("\n").replace("{port}", &port)).unwrap();
    let finished = clipdata()
        .arg("download")
        .arg(&list)
        .arg("--output-folder")
        .arg(folder.path().join("shards"))
        .args(["--json", "--timeout", "5", "--number-sample-per-shard", "1"])
        .run()
        .expect_code(1);
    let summary = finished.json_data("summary").pop().expect("a summary");
    assert_eq!(summary["failures_by_kind"], json!({ "forbidden_address": addresses.len() }), "{summary}");
    assert_eq!(server.requests(), []);
}

#[test]
fn names_that_a_name_server_leads_to_this_machine_are_refused_unless_that_is_allowed() {
    let jpeg = picture(7, 40, 30, Format::Jpeg);
    let server = Server::start([("/", Behaviour::Ok(jpeg, "image/jpeg"))]);
    let at = |address: &str| Naming::Addresses { addresses: vec![address.parse().unwrap()], ttl: 0 };
    let names = NameServer::start([
        ("pictures.example", at("127.0.0.1")),
        ("mapped.example", at("::ffff:127.0.0.1")),
        ("broken.example", Naming::Fails(2)),
    ]);
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list.txt");
    let hosts = ["pictures.example", "mapped.example", "broken.example", "nowhere.example"];
    let urls = hosts.map(|host| format!("http://{host}:{}/", server.address().port()));
    fs::write(&list, urls.join("\n")).unwrap();
    let run = |name: &str, more: &[&str]| {
        let mut command = clipdata().arg("download").arg(&list).arg("--output-folder").arg(folder.path().join(name));
        command = command.args(["--json", "--dns", &names.address().to_string()]).args(more.iter().copied());
        command.run().json_data("summary").pop().expect("a summary")
    };
    let refused = run("refused", &[]);
    assert_eq!(refused["failures_by_kind"], json!({ "forbidden_address": 2, "dns": 2 }), "{refused}");
    assert_eq!(server.requests(), []);
    let allowed = run("allowed", &["--allow-private-addresses"]);
    assert_eq!(allowed["failures_by_kind"], json!({ "dns": 2 }), "{allowed}");
    assert_eq!(allowed["successes"], 2, "{allowed}");
}
