//! `lfs-pipe`: the command line.

fn main() -> std::process::ExitCode {
    lfs_pipe::cli::main()
}
