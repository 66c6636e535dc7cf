//! The `data-pusher` program. This file only maps results to exit codes; everything else is in the library.

use std::process::ExitCode;
use std::time::Duration;

use data_pusher::commands::{self, Command, Exit, Finished};
use data_pusher::error::Error;
use data_pusher::process::{file_size, memory, output};
use data_pusher::{api, app};

/// How long the end of the program waits at most for its last log line, where nobody reads it.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Exit code for a command line that is not understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    memory::give_large_blocks_back();
    file_size::ignore_file_size_signal();
    match commands::parse(std::env::args_os()) {
        Ok(Command::Serve(config)) => ended(app::serve(*config)),
        Ok(Command::Export(config)) => ended(app::export(&config)),
        Ok(Command::Import(config)) => ended(app::import(&config)),
        Ok(Command::OpenApi { yaml }) => print(&if yaml { api::document_yaml() } else { api::document_json() }),
        Ok(Command::LoginLink(database)) => match app::login_link(&database) {
            Ok(link) => print(&format!("{link}\n")),
            Err(error) => ended(Err(error)),
        },
        Ok(Command::Listen(config)) => ended(commands::listen(*config)),
        Ok(Command::Send(config)) => commands::send(*config),
        Ok(Command::Healthcheck(config)) => match commands::healthcheck(&config) {
            Ok(line) => print(&format!("{line}\n")),
            Err(error) => ended(Err(error)),
        },
        Ok(Command::Completions(script)) => print(&script),
        Ok(Command::Man(folder)) => ended(commands::write_man_pages(&folder)),
        Ok(Command::Backup(backup)) => finished(backup.run()),
        Ok(Command::Restore(restore)) => finished(restore.run()),
        Ok(Command::Check(check)) => finished(check.run()),
        Ok(Command::Key(key)) => finished(key.run()),
        Err(Exit::Help(text)) => print(&text),
        Err(Exit::Usage(line)) => failed(&line, ExitCode::from(USAGE)),
    }
}

fn print(text: &str) -> ExitCode {
    match output::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("cannot write to standard output: {error}"), ExitCode::FAILURE),
    }
}

fn finished(result: Result<Finished, Error>) -> ExitCode {
    match result {
        Ok(Finished { data, notes, is_right }) => {
            output::log_line(notes.as_bytes());
            let printed = print(&data);
            if is_right { printed } else { ExitCode::FAILURE }
        }
        Err(error) => ended(Err(error)),
    }
}

fn ended(result: Result<(), Error>) -> ExitCode {
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string(), ExitCode::FAILURE),
    };
    output::flush(LAST_LINE);
    code
}

fn failed(why: &str, code: ExitCode) -> ExitCode {
    output::log_line(format!("error: {why}\n").as_bytes());
    code
}
