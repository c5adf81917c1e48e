//! Whole loops on live traffic, in labs and on veth pairs: one binary, a module for each claim.

// The support of the kernel's tests knows itself by its package's name.
extern crate datapath as weir_datapath;

mod accounting;
mod adversaries;
mod closed_ports;
mod e2e_attacks;
mod e2e_capture;
mod e2e_interfaces;
mod e2e_learn;
mod e2e_leases;
mod e2e_replay;
mod e2e_service;
mod e2e_shadow;
mod kernel_restart;
#[path = "../../../datapath/tests/kernel/support.rs"]
mod kernel_support;
mod modes;
mod outages;
mod restart;
mod support;
