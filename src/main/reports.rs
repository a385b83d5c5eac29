//! What a process says on stderr besides its messages: logs, and a last word when it panics.
//!
//! Logs hold no text, name, key or address of others. Ours are written with that in mind; the libraries' are not, so they
//! are silent unless the setting `log` names them.

use moim::api::config::Config;
use std::{io, panic, process};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Writes logs to stderr as the configuration says. The first call counts.
pub(crate) fn logs(config: &Config) {
    // Somebody set it up already: the first call's level holds.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(config.log()))
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
}

/// A bare level is about moim alone; whatever else is written in `tracing`'s syntax is taken as it is.
fn filter(text: &str) -> EnvFilter {
    let directives = match text.trim().parse::<LevelFilter>() {
        Ok(level) => format!("off,moim={level}"),
        Err(_) => text.to_owned(),
    };
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("off,moim=warn"))
}

/// A panic in any thread says where it was and ends the process: a node with a dead part would only seem to work. What is
/// acknowledged is on the disk, so ending is safe. The panic's own words are shown only where they are fixed in the
/// program: others might hold what somebody wrote.
pub(crate) fn panics() {
    panic::set_hook(Box::new(|panic| {
        // About a damaged store; it becomes an error that says so.
        if moim::store::is_guarded() {
            return;
        }
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
        let name = thread.name().unwrap_or("unnamed");
        eprintln!(
            "moim {} has a fault and stops: {words}\n  at {place}, thread {name}\nWhat was saved is kept. Please report it.",
            env!("CARGO_PKG_VERSION")
        );
        process::exit(1);
    }));
}

#[cfg(test)]
mod tests {
    use super::filter;
    use std::{env, process::Command};

    /// Run in a process of its own by the test below: it ends the process it is in.
    #[test]
    #[ignore = "it panics"]
    fn dies() {
        super::panics();
        let secret = "what somebody wrote";
        let died =
            std::thread::Builder::new().name("engine".into()).spawn(move || match env::var_os("MOIM_TEST_FIXED") {
                Some(_) => panic!("a fixed sentence"),
                None => panic!("{secret}"),
            });
        let _ = died.unwrap().join();
        unreachable!("the process has ended");
    }

    #[test]
    fn a_panic_ends_the_process_with_a_report_that_holds_nothing_of_others() {
        let die = |variables: &[(&str, &str)]| {
            let mut test = Command::new(env::current_exe().unwrap());
            test.args(["--exact", "reports::tests::dies", "--ignored", "--nocapture"]);
            let out = test.envs(variables.iter().copied()).output().unwrap();
            assert_eq!(out.status.code(), Some(1));
            String::from_utf8(out.stderr).unwrap()
        };
        let said = die(&[]);
        assert!(said.contains("has a fault and stops: (not shown)") && !said.contains("somebody"), "{said}");
        assert!(said.contains("reports.rs:") && said.contains("thread engine"), "{said}");
        assert!(die(&[("MOIM_TEST_FIXED", "1")]).contains("a fixed sentence"));
    }

    #[test]
    fn a_bare_level_leaves_the_libraries_silent() {
        assert_eq!(filter("info").to_string(), "moim=info,off");
        assert_eq!(filter("moim::net=debug").to_string(), "moim::net=debug");
        assert_eq!(filter("=,=").to_string(), "moim=warn,off");
    }
}
