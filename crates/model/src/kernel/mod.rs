//! The hot loops: fused `f32` kernels for the CPU, and beside each the same arithmetic composed of candle operations.
//!
//! A kernel is taken when all its operands lie in host memory as `f32`; everything else (CUDA, other types) takes the
//! composed path. Results do not depend on the number of threads: work is split by shape alone. Kernels know nothing of
//! parameters or layers.

pub mod activation;
pub mod attention;
pub mod batch_norm;
pub mod convolution;
pub mod dropout;
pub mod embedding;
mod gemm;
pub(crate) mod host;
pub(crate) mod isa;
mod lanes;
pub mod layer_norm;
pub mod matmul;
pub mod narrow;
pub mod patches;
pub mod pool;
pub mod reduce;
pub mod row_attention;
mod tile;

/// Values between -1 and 1 that look random and are the same in every run.
#[cfg(test)]
pub(crate) fn fixed(dims: &[usize], seed: u64) -> candle_core::Tensor {
    let stream = crate::random::Stream::new(seed, "fixed");
    let count: usize = dims.iter().product();
    let value = |i: u64| (stream.bits(i) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let values: Vec<f32> = (0..count as u64).map(value).collect();
    candle_core::Tensor::from_vec(values, dims, &candle_core::Device::Cpu).unwrap()
}

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
