//! The hot loops: fused `f32` kernels for the CPU, and beside each the same arithmetic composed of candle operations.
//!
//! A kernel is taken when all its operands lie in host memory as `f32`; everything else (CUDA, other types) takes the
//! composed path. Results do not depend on the number of threads: work is split by shape alone. Kernels know nothing of
//! parameters or layers.

pub mod activation;
pub mod attention;
pub mod embedding;
mod gemm;
mod host;
mod isa;
mod lanes;
pub mod layer_norm;
pub mod matmul;
pub mod reduce;
pub mod row_attention;
mod tile;

/// Asserts that two tensors agree in shape, and in every value to `tolerance`, relative to values above 1.
#[cfg(test)]
pub(crate) fn assert_close(got: &candle_core::Tensor, expected: &candle_core::Tensor, tolerance: f32) {
    assert_eq!(got.dims(), expected.dims());
    let values = |tensor: &candle_core::Tensor| tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).unwrap();
    for (i, (got, expected)) in values(got).into_iter().zip(values(expected)).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!((got - expected).abs() <= allowed, "value {i}: got {got}, expected {expected} to {allowed}");
    }
}
