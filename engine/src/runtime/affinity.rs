//! Cores: which there are, and pinning the calling thread to one. The only file that names `core_affinity`.

/// The cores this process may run on, ascending.
#[must_use]
pub fn available_cores() -> Vec<usize> {
    let mut cores: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    cores.sort_unstable();
    cores
}

/// Pins the calling thread to a core. Says whether the system allowed it.
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}
