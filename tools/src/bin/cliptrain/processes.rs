//! How many processes the run was started as.

use anyhow::Context;
use tools::exit::Hint;

/// Where launchers say how many processes there are, in open_clip's order: torchrun, MPI, SLURM, Open MPI.
const WORLD_SIZES: [&str; 4] = ["WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"];

/// Refuses to be one of several: each would train a model of its own.
///
/// # Errors
/// When a launcher started more than one process, or says what is no number.
pub fn check(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty()).map(|value| (name.to_string(), value));
    let Some((name, value)) = WORLD_SIZES.iter().find_map(set) else { return Ok(()) };
    let size: usize = value.parse().with_context(|| format!("the variable {name} is no number: `{value}`"))?;
    if size <= 1 {
        return Ok(());
    }
    let error = anyhow::anyhow!("{name}={size}: training in several processes is not built");
    Err(error.context(Hint(
        "start one process (torchrun --nproc-per-node 1, srun --ntasks 1); --accum-freq makes its batches as large"
            .into(),
    )))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn several_processes_are_refused_whoever_started_them() {
        for name in ["WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"] {
            let of = |value: &'static str| check(|asked| (asked == name).then(|| value.to_owned()));
            assert!(of("1").is_ok() && of("").is_ok());
            assert!(of("4").unwrap_err().chain().any(|cause| cause.to_string().contains(name)));
            assert!(of("four").is_err());
        }
        assert!(check(|_| None).is_ok());
    }
}
