//! flows-ebpf
