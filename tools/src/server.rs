//! A folder over HTTP on the loopback address, so that lists can be downloaded without a network. It answers
//! `GET` and `HEAD` over HTTP/1.1, and hands out regular files below the folder only.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::sync::oneshot;

/// A running server. It stops, and its thread ends, when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `folder` on 127.0.0.1; port 0 takes a free one.
    ///
    /// # Errors
    /// When the folder cannot be resolved, or no such port or no thread is to be had.
    pub fn start(folder: &Path, port: u16) -> std::io::Result<Self> {
        let root: Arc<Path> = folder.canonicalize()?.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = accept(listener, root) => {}, _ = stopped => {} }
            });
            // Dropping the runtime ends the connections that are still open.
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path that starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error says that the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, root: Arc<Path>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        // A connection that fails before it is accepted is the client's loss; the next one may be well.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let root = root.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let root = root.clone();
                async move { Ok::<_, Infallible>(answer(&request, &root).await) }
            });
            // A client may hang up whenever it likes.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: &Request<Incoming>, root: &Path) -> Response<Full<Bytes>> {
    let body = match resolve(root, request.uri().path()) {
        Some(path) => tokio::fs::read(&path).await.ok().map(|bytes| (bytes, media_type(&path))),
        None => None,
    };
    let Some((bytes, media_type)) = body else {
        let mut response = Response::new(Full::from("not found\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The file of a request path, unless it would lie outside the folder.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let relative = Path::new(decoded.trim_start_matches('/'));
    if !relative.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    // A link inside the folder may still lead out of it.
    let full = root.join(relative).canonicalize().ok()?;
    (full.starts_with(root) && full.is_file()).then_some(full)
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("html") => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn get(server: &Server, path: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inside")).unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(folder.path().join("inside/a b.jpg"), [0xFF, 0xD8]).unwrap();
        folder
    }

    #[test]
    fn files_are_served_and_nothing_outside_the_folder_is() {
        let folder = folder();
        std::os::unix::fs::symlink(folder.path().join("secret.txt"), folder.path().join("inside/link.txt")).unwrap();
        let server = Server::start(&folder.path().join("inside"), 0).unwrap();
        let picture = get(&server, "/a%20b.jpg?size=large");
        assert!(picture.starts_with("HTTP/1.1 200") && picture.contains("content-type: image/jpeg"), "{picture}");
        for path in ["/", "/missing.jpg", "/../secret.txt", "/%2e%2e/secret.txt", "//secret.txt", "/link.txt"] {
            let answer = get(&server, path);
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        }
    }

    #[test]
    fn a_dropped_server_hangs_up() {
        let folder = folder();
        let server = Server::start(folder.path(), 0).unwrap();
        let mut idle = TcpStream::connect(server.address()).unwrap();
        drop(server);
        // Its end of the connection is closed, one way or another.
        assert!(matches!(idle.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}
