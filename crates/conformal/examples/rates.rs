//! Error rates that calibrations of some sizes carry, and the rows that rates need:
//! `cargo run --example rates`.

use weir_conformal::{Calibration, CalibrationError};

fn main() -> Result<(), CalibrationError> {
    for rows in [100_u16, 1_000, 10_000] {
        let scores = (0..rows).map(|row| f32::from(row) / f32::from(rows)).collect();
        let calibration = Calibration::new(scores)?;
        let beyond = calibration.p_value(2.0);
        println!(
            "{rows:>6} rows: a score beyond all has p = {:.1e} on average, {:.1e} for this set",
            beyond.marginal, beyond.conditional
        );
    }
    for rate in [0.1, 0.01, 0.001] {
        println!("a rate of {rate} needs {} rows", Calibration::rows_for(rate));
    }
    Ok(())
}
