//! A residual block of convolutions: narrow, look around, widen. Pictures shrink by a mean over squares, not by strides.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::kernel::batch_norm::{After, rectify_backward};
use crate::kernel::patches::Window;
use crate::kernel::pool;
use crate::layer::batch_norm::{BatchNorm, BatchNormSaved};
use crate::layer::convolution::Convolution;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// How much wider the output is than the middle.
pub const EXPANSION: usize = 4;
/// One pixel.
pub const POINT: Window = Window { kernel: 1, stride: 1, padding: 0 };
/// A pixel and its neighbours.
pub const NEIGHBOURS: Window = Window { kernel: 3, stride: 1, padding: 1 };

/// A convolution and its normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    conv: Convolution,
    bn: BatchNorm,
}

/// What backward of a unit needs.
#[derive(Debug)]
pub struct UnitSaved {
    input: Tensor,
    bn: BatchNormSaved,
    /// The rectified output; absent where nothing is rectified here.
    output: Option<Tensor>,
}

impl Unit {
    /// Declares nothing: puts a convolution and a normalisation together.
    pub fn new(conv: Convolution, bn: BatchNorm) -> Self {
        Self { conv, bn }
    }

    /// `relu(bn(conv(x)))`.
    ///
    /// # Errors
    /// For an input of other channels.
    pub fn forward(&self, parameters: &Parameters, x: Tensor, mode: Mode) -> Result<(Tensor, UnitSaved)> {
        let convolved = self.conv.forward(parameters, &x)?;
        let (y, bn) = self.bn.forward(parameters, convolved, None, After::Rectify, mode)?;
        Ok((y.clone(), UnitSaved { input: x, bn, output: Some(y) }))
    }

    /// `bn(conv(x))`, plus `residual` and rectified where asked for; the rectification's backward is the caller's.
    fn forward_plain(
        &self,
        parameters: &Parameters,
        x: Tensor,
        residual: Option<&Tensor>,
        after: After,
        mode: Mode,
    ) -> Result<(Tensor, UnitSaved)> {
        let convolved = self.conv.forward(parameters, &x)?;
        let (y, bn) = self.bn.forward(parameters, convolved, residual, after, mode)?;
        Ok((y, UnitSaved { input: x, bn, output: None }))
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ, and for a window with a stride.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: UnitSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let (input, dconvolved) = self.backward_norm(parameters, saved, dy, to)?;
        self.conv.backward(parameters, &input, &dconvolved, to)
    }

    /// Accumulates gradients where nothing before this unit learns.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_parameters(
        &self,
        parameters: &Parameters,
        saved: UnitSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        let (input, dconvolved) = self.backward_norm(parameters, saved, dy, to)?;
        self.conv.backward_weight(parameters, &input, &dconvolved, to)
    }

    fn backward_norm(
        &self,
        parameters: &Parameters,
        saved: UnitSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<(Tensor, Tensor)> {
        let UnitSaved { input, bn, output } = saved;
        let masked = match output {
            Some(output) => rectify_backward(&output, dy).layer(parameters.name(self.conv.id()))?,
            None => dy.clone(),
        };
        Ok((input, self.bn.backward(parameters, bn, &masked, to)?))
    }

    /// Its parameters.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        std::iter::once(self.conv.id()).chain(self.bn.ids())
    }
}

impl UnitSaved {
    /// What the normalisation saw.
    pub fn norm(&self) -> &BatchNormSaved {
        &self.bn
    }
}

/// `relu(unit 3(pool(unit 2(unit 1(x)))) + x)`, `x` through pool and unit where its shape changes.
#[derive(Clone, Copy, Debug)]
pub struct Bottleneck {
    units: [Unit; 3],
    downsample: Option<Unit>,
    stride: usize,
}

/// What backward needs.
#[derive(Debug)]
pub struct BottleneckSaved {
    units: [UnitSaved; 3],
    downsample: Option<UnitSaved>,
    output: Tensor,
    /// Height and width of the input.
    grid: [usize; 2],
}

impl Bottleneck {
    /// Declares the parameters of `{name}`, in open_clip's order.
    pub fn declare(declaration: &mut Declaration, name: &str, [inputs, middle]: [usize; 2], stride: usize) -> Self {
        let outputs = EXPANSION * middle;
        let mut unit = |conv: &str, bn: &str, sizes: [usize; 2], window: Window, gain: f64| {
            let conv = Convolution::declare(declaration, &format!("{name}.{conv}"), sizes, window);
            Unit { conv, bn: BatchNorm::declare(declaration, &format!("{name}.{bn}"), sizes[1], gain) }
        };
        let units = [
            unit("conv1", "bn1", [inputs, middle], POINT, 1.0),
            unit("conv2", "bn2", [middle, middle], NEIGHBOURS, 1.0),
            unit("conv3", "bn3", [middle, outputs], POINT, 0.0),
        ];
        let changes = stride > 1 || inputs != outputs;
        let downsample = changes.then(|| unit("downsample.0", "downsample.1", [inputs, outputs], POINT, 1.0));
        Self { units, downsample, stride }
    }

    /// `[B, H, W, in]` to `[B, H / stride, W / stride, 4 middle]`.
    ///
    /// # Errors
    /// For an input of other channels.
    pub fn forward(&self, parameters: &Parameters, x: Tensor, mode: Mode) -> Result<(Tensor, BottleneckSaved)> {
        let name = parameters.name(self.units[0].conv.id());
        let (_, height, width, _) = x.dims4().layer(name)?;
        let shrink = |x: Tensor| if self.stride > 1 { pool::forward(&x, self.stride).layer(name) } else { Ok(x) };
        let [first, second, third] = self.units;
        let (narrow, saved_1) = first.forward(parameters, x.clone(), mode)?;
        let (looked, saved_2) = second.forward(parameters, narrow, mode)?;
        let (bypass, downsample) = match self.downsample {
            None => (x, None),
            Some(unit) => {
                let (bypass, saved) = unit.forward_plain(parameters, shrink(x)?, None, After::Nothing, mode)?;
                (bypass, Some(saved))
            }
        };
        let (y, saved_3) = third.forward_plain(parameters, shrink(looked)?, Some(&bypass), After::Rectify, mode)?;
        let units = [saved_1, saved_2, saved_3];
        Ok((y.clone(), BottleneckSaved { units, downsample, output: y, grid: [height, width] }))
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: BottleneckSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = parameters.name(self.units[0].conv.id());
        let BottleneckSaved { units, downsample, output, grid: [height, width] } = saved;
        let widen = |dy: Tensor| {
            if self.stride > 1 { pool::backward(&dy, self.stride, height, width).layer(name) } else { Ok(dy) }
        };
        let dy = rectify_backward(&output, dy).layer(name)?;
        drop(output);
        let [saved_1, saved_2, saved_3] = units;
        let dlooked = widen(self.units[2].backward(parameters, saved_3, &dy, to)?)?;
        let dnarrow = self.units[1].backward(parameters, saved_2, &dlooked, to)?;
        let dx = self.units[0].backward(parameters, saved_1, &dnarrow, to)?;
        let dbypass = match (self.downsample, downsample) {
            (Some(unit), Some(saved)) => widen(unit.backward(parameters, saved, &dy, to)?)?,
            _ => dy,
        };
        (dx + dbypass).layer(name)
    }

    /// Its parameters.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        self.units.into_iter().chain(self.downsample).flat_map(|unit| unit.ids())
    }
}

impl BottleneckSaved {
    /// What its normalisations saw.
    pub fn norms(&self) -> impl Iterator<Item = &BatchNormSaved> {
        self.units.iter().chain(&self.downsample).map(UnitSaved::norm)
    }
}
