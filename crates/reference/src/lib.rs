//! A program's command line, written down from its own definition: man pages, completions of shells,
//! and a page of Markdown.
//!
//! # What it is
//!
//! [`answer`] is called before a program reads its arguments. `PROGRAM reference FOLDER`, which no help
//! lists, then writes the files that packages ship and `docs/cli` holds, and the program ends.
//!
//! # What it never does
//!
//! It knows no command by name, and is no part of a node: the feature `reference` brings it in.

#![forbid(unsafe_code)]

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Command;
use clap_complete::aot::{Bash, Fish, Zsh, generate_to};

/// The word that asks for it.
const WORD: &str = "reference";
/// Width of the help on the page, in columns.
const WIDTH: usize = 98;

/// Writes the reference where this process was asked for it, and says how that ended.
#[must_use]
pub fn answer(command: &Command) -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    let folder = PathBuf::from(words.next()?);
    Some(match write(command, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: cannot write to `{}`: {error}", command.get_name(), folder.display());
            ExitCode::FAILURE
        }
    })
}

/// Writes `man/*.1`, `completions/` for bash, zsh and fish, and `PROGRAM.md` below a folder.
///
/// # Errors
/// The folder cannot be made or written to.
pub fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder)?;
    }
    clap_mangen::generate_to(command.clone(), &man)?;
    let mut complete = command.clone();
    generate_to(Bash, &mut complete, &name, &completions)?;
    generate_to(Zsh, &mut complete, &name, &completions)?;
    generate_to(Fish, &mut complete, &name, &completions)?;
    fs::write(folder.join(format!("{name}.md")), markdown(command))
}

/// The help of a command and of all below it, as a page; what each of them takes is told once.
#[must_use]
pub fn markdown(command: &Command) -> String {
    let mut command = command.clone().disable_help_subcommand(true).term_width(WIDTH);
    // They are this process's own.
    command = command.mut_args(|one| one.hide_env_values(true));
    command.build();
    let mut page = format!("# {}\n", command.get_name());
    tell(&command, &mut page);
    page
}

fn tell(command: &Command, page: &mut String) {
    let help = command.clone().render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // A string takes all.
    let _ = writeln!(page, "\n```text\n{}\n```", lines.join("\n").trim_end());
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = below.get_bin_name().unwrap_or_else(|| below.get_name());
        let _ = writeln!(page, "\n## {name}");
        let told = |id: &str| ["help", "version"].contains(&id);
        tell(
            &below.clone().mut_args(|one| {
                let hidden = one.is_global_set() || told(one.get_id().as_str());
                if hidden { one.hide(true) } else { one }
            }),
            page,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn program() -> Command {
        let config = Arg::new("config").long("config").global(true).help("A file");
        let mode = Arg::new("mode").long("mode").value_parser(["observe", "enforce"]);
        let run = Command::new("run").about("Watch").arg(mode.help("What may be done"));
        let hidden = Command::new("secret").hide(true);
        Command::new("dam").about("Hold water").arg(config).subcommands([run, hidden])
    }

    #[test]
    fn what_all_commands_take_is_told_once() {
        let page = markdown(&program());
        assert!(page.starts_with("# dam\n\n```text\nHold water\n"), "{page}");
        assert_eq!(page.matches("--config").count(), 1, "{page}");
        let (_, run) = page.split_once("\n## dam run\n").expect("its section");
        assert!(run.contains("--mode <mode>") && run.contains("observe"), "{run}");
        assert!(!page.contains("secret"), "{page}");
    }

    #[test]
    fn each_command_has_a_man_page_and_each_shell_its_completions() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&program(), folder.path()).expect("written");
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).expect(path);
        assert!(read("man/dam.1").contains("Hold water"));
        assert!(read("man/dam-run.1").contains("What may be done"));
        assert!(!folder.path().join("man/dam-secret.1").exists());
        for file in ["dam.bash", "_dam", "dam.fish"] {
            assert!(read(&format!("completions/{file}")).contains("enforce"), "{file}");
        }
        assert_eq!(read("dam.md"), markdown(&program()));
    }
}
