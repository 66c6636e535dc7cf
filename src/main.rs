//! The `data-pusher` program.

use std::process::ExitCode;

use data_pusher::app::cli::{self, Command, Stop};
use data_pusher::{api, app};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(config)) => match app::serve(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(Command::OpenApi { yaml }) => {
            print!("{}", if yaml { api::document_yaml() } else { api::document_json() });
            ExitCode::SUCCESS
        }
        Ok(Command::LoginLink(database)) => match app::login_link(&database) {
            Ok(link) => {
                println!("{link}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Err(Stop::Asked(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Bad(line)) => {
            eprintln!("error: {line}");
            ExitCode::from(2)
        }
    }
}
