//! Operands of 16 bits: on the host they are widened, the `f32` kernels do the arithmetic, and the result is narrowed again,
//! so that products and sums accumulate in `f32` as they do on accelerators. Parameters stay `f32` and follow the
//! activations' type.

use candle_core::{DType, Result, Tensor};

/// The type to narrow to, where a tensor in host memory has 16 bits.
pub(super) fn narrow_on_host(x: &Tensor) -> Option<DType> {
    let dtype = x.dtype();
    (x.device().is_cpu() && matches!(dtype, DType::BF16 | DType::F16)).then_some(dtype)
}

/// The tensor as `f32`.
pub(super) fn wide(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}

/// The tensor as `f32`, where there is one.
pub(super) fn wide_option(x: Option<&Tensor>) -> Result<Option<Tensor>> {
    x.map(wide).transpose()
}

/// A parameter in the type of the activations.
pub fn following(parameter: &Tensor, x: &Tensor) -> Result<Tensor> {
    parameter.to_dtype(x.dtype())
}
