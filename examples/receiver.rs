//! A small receiver that prints what it gets: `cargo run --example receiver -- --port 9000 --status 200`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let (mut port, mut status) = (9000_u16, 200_u16);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (flag.as_str(), value) {
            ("--port", Some(value)) => port = value,
            ("--status", Some(value)) => status = value,
            _ => {
                eprintln!("usage: receiver [--port 9000] [--status 200]");
                std::process::exit(2);
            }
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("receiving on http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(&stream, status) {
                eprintln!("connection ended: {error}");
            }
        });
    }
    Ok(())
}

/// Answers every request of one connection.
fn serve(stream: &TcpStream, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let length = head
            .iter()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        // One write, so that requests of several connections do not mix.
        let mut shown = head.join("\n  ");
        if !body.is_empty() {
            shown.push_str("\n  \n  ");
            shown.push_str(&String::from_utf8_lossy(&body));
        }
        println!("{shown}\n");
        write!(&*stream, "HTTP/1.1 {status} Received\r\nContent-Length: 3\r\n\r\nok\n")?;
    }
}
