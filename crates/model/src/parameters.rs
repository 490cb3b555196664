//! The one ordered registry of parameters, and gradients that follow its order.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::init::{self, Initialisation};

/// A parameter's place in the registry; the same on every rank, and the order of open_clip's `state_dict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterId(usize);

impl ParameterId {
    /// Position in the registry, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a tensor of the registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Learned: f32, with a gradient.
    Parameter,
    /// A running statistic: f32, changed by forward passes in training mode, never by an optimizer.
    Statistic,
    /// A count: i64, changed as statistics are.
    Counter,
}

impl Role {
    /// The type of its values.
    pub fn dtype(self) -> DType {
        match self {
            Self::Parameter | Self::Statistic => DType::F32,
            Self::Counter => DType::I64,
        }
    }
}

/// A parameter or buffer before it has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// open_clip's name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Distribution of the first value.
    pub init: Initialisation,
    /// Learned or counted.
    pub role: Role,
}

/// Collects what layers declare, in order.
#[derive(Debug, Default)]
pub struct Declaration {
    specs: Vec<ParameterSpec>,
}

impl Declaration {
    /// Adds a parameter.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], init: Initialisation) -> ParameterId {
        self.push(ParameterSpec { name: name.into(), shape: shape.to_vec(), init, role: Role::Parameter })
    }

    /// Adds a buffer: it is saved with the parameters and has no gradient.
    pub fn add_buffer(&mut self, name: impl Into<String>, shape: &[usize], value: f64, role: Role) -> ParameterId {
        let init = Initialisation::Constant(value);
        self.push(ParameterSpec { name: name.into(), shape: shape.to_vec(), init, role })
    }

    fn push(&mut self, spec: ParameterSpec) -> ParameterId {
        self.specs.push(spec);
        ParameterId(self.specs.len() - 1)
    }

    /// All that were declared.
    pub fn into_specs(self) -> Vec<ParameterSpec> {
        self.specs
    }
}

/// A parameter or buffer, on the model's device.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// open_clip's name.
    pub name: String,
    /// Learned or counted.
    pub role: Role,
    /// Its value.
    value: Tensor,
    /// Whether a gradient is computed for it.
    trainable: bool,
}

impl Parameter {
    fn of(spec: &ParameterSpec, value: Tensor) -> Self {
        Self { name: spec.name.clone(), role: spec.role, value, trainable: spec.role == Role::Parameter }
    }

    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Whether a gradient is computed for it.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Whether it is learned at all; buffers are not.
    pub fn is_learned(&self) -> bool {
        self.role == Role::Parameter
    }
}

/// All parameters and buffers of a model, in the order of open_clip's `state_dict`.
#[derive(Clone, Debug)]
pub struct Parameters {
    all: Vec<Parameter>,
    by_name: HashMap<String, ParameterId>,
}

impl Parameters {
    /// Draws a first value for every parameter; each depends on `seed` and its own name alone.
    ///
    /// # Errors
    /// When a tensor cannot be made on the device.
    pub fn initialise(specs: &[ParameterSpec], seed: u64, device: &Device) -> Result<Self> {
        let draw =
            |spec: &ParameterSpec| -> Result<Parameter> { Ok(Parameter::of(spec, init::draw(spec, seed, device)?)) };
        let all = specs.iter().map(draw).collect::<Result<Vec<_>>>()?;
        Ok(Self::from_ordered(all))
    }

    /// Takes a value for every parameter from `value_of`, which may fail with its own error.
    ///
    /// # Errors
    /// The first that `value_of` gives; [`Error::MisshapenTensor`] for a value of another shape.
    pub fn from_values(
        specs: &[ParameterSpec],
        mut value_of: impl FnMut(&ParameterSpec) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut all = Vec::with_capacity(specs.len());
        for spec in specs {
            let value = value_of(spec)?;
            check_shape(&spec.name, &spec.shape, &value)?;
            all.push(Parameter::of(spec, value));
        }
        Ok(Self::from_ordered(all))
    }

    fn from_ordered(all: Vec<Parameter>) -> Self {
        let by_name = all.iter().enumerate().map(|(i, p)| (p.name.clone(), ParameterId(i))).collect();
        Self { all, by_name }
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of values in all parameters, buffers left out.
    pub fn elem_count(&self) -> usize {
        self.all.iter().filter(|parameter| parameter.is_learned()).map(|parameter| parameter.value.elem_count()).sum()
    }

    /// Every id with its parameter, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ParameterId, &Parameter)> {
        self.all.iter().enumerate().map(|(i, parameter)| (ParameterId(i), parameter))
    }

    /// The parameter of an id of this registry.
    pub fn get(&self, id: ParameterId) -> &Parameter {
        &self.all[id.0]
    }

    /// The value of an id of this registry.
    pub fn value(&self, id: ParameterId) -> &Tensor {
        &self.get(id).value
    }

    /// The name of an id of this registry.
    pub fn name(&self, id: ParameterId) -> &str {
        &self.get(id).name
    }

    /// Whether a gradient is computed for an id of this registry.
    pub fn trainable(&self, id: ParameterId) -> bool {
        self.get(id).trainable
    }

    /// The id of a name.
    pub fn id(&self, name: &str) -> Option<ParameterId> {
        self.by_name.get(name).copied()
    }

    /// Replaces a value.
    ///
    /// # Errors
    /// [`Error::MisshapenTensor`] when the shape differs.
    pub fn set(&mut self, id: ParameterId, value: Tensor) -> Result<()> {
        let parameter = &mut self.all[id.0];
        check_shape(&parameter.name, parameter.value.dims(), &value)?;
        parameter.value = value.detach();
        Ok(())
    }

    /// Switches the gradient of a parameter on or off; a buffer has none.
    pub fn set_trainable(&mut self, id: ParameterId, trainable: bool) {
        let parameter = &mut self.all[id.0];
        parameter.trainable = trainable && parameter.is_learned();
    }
}

fn check_shape(name: &str, expected: &[usize], value: &Tensor) -> Result<()> {
    if value.dims() == expected {
        return Ok(());
    }
    Err(Error::MisshapenTensor { name: name.to_owned(), expected: expected.to_vec(), got: value.dims().to_vec() })
}

/// Gradients by parameter id; absent where nothing was accumulated.
#[derive(Clone, Debug)]
pub struct Gradients {
    all: Vec<Option<Tensor>>,
}

impl Gradients {
    /// None for every parameter of the registry.
    pub fn new(parameters: &Parameters) -> Self {
        Self { all: vec![None; parameters.len()] }
    }

    /// Adds to a parameter's gradient.
    ///
    /// # Errors
    /// When the shape differs from what was accumulated before.
    pub fn accumulate(&mut self, id: ParameterId, gradient: Tensor) -> candle_core::Result<()> {
        // Gradients are those of the f32 master values, whatever type the pass computed in.
        let gradient = if gradient.dtype() == DType::F64 { gradient } else { gradient.to_dtype(DType::F32)? };
        let slot = &mut self.all[id.0];
        *slot = Some(match slot.take() {
            Some(before) => (before + gradient)?,
            None => gradient,
        });
        Ok(())
    }

    /// A parameter's gradient.
    pub fn get(&self, id: ParameterId) -> Option<&Tensor> {
        self.all[id.0].as_ref()
    }

    /// Every gradient that exists, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ParameterId, &Tensor)> {
        self.all.iter().enumerate().filter_map(|(i, gradient)| Some((ParameterId(i), gradient.as_ref()?)))
    }

    /// Replaces a parameter's gradient, as after an all-reduce.
    pub fn set(&mut self, id: ParameterId, gradient: Tensor) {
        self.all[id.0] = Some(gradient);
    }

    /// Forgets all gradients.
    pub fn clear(&mut self) {
        self.all.fill(None);
    }

    /// Multiplies all gradients.
    ///
    /// # Errors
    /// From candle.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for gradient in self.all.iter_mut().flatten() {
            *gradient = gradient.affine(factor, 0.0)?;
        }
        Ok(())
    }

    /// L2 norm over all values of all gradients; waits for the device.
    ///
    /// # Errors
    /// From candle.
    pub fn norm(&self) -> Result<f64> {
        let mut total = 0.0;
        for (_, gradient) in self.iter() {
            total += squares(gradient)?;
        }
        Ok(total.sqrt())
    }
}

fn squares(gradient: &Tensor) -> Result<f64> {
    Ok(match crate::kernel::reduce::sum_of_squares(gradient)? {
        Some(sum) => sum,
        None => gradient.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Declaration, Gradients, Parameters};
    use crate::init::Initialisation;

    fn two() -> Parameters {
        let mut declaration = Declaration::default();
        declaration.add("a", &[2], Initialisation::Constant(1.0));
        declaration.add("b", &[], Initialisation::Constant(2.0));
        Parameters::initialise(&declaration.into_specs(), 0, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients_add_up_scale_and_have_a_norm() {
        let parameters = two();
        let mut gradients = Gradients::new(&parameters);
        let (a, b) = (parameters.id("a").unwrap(), parameters.id("b").unwrap());
        for _ in 0..2 {
            gradients.accumulate(a, Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap()).unwrap();
        }
        gradients.accumulate(b, Tensor::new(8f32, &Device::Cpu).unwrap()).unwrap();
        gradients.scale(0.5).unwrap();
        assert_eq!(gradients.norm().unwrap(), 5.0);
        gradients.clear();
        assert!(gradients.get(a).is_none() && gradients.get(b).is_none());
    }

    #[test]
    fn value_of_another_shape_is_refused_with_both_shapes() {
        let mut parameters = two();
        let id = parameters.id("a").unwrap();
        let message = parameters.set(id, Tensor::new(&[1f32], &Device::Cpu).unwrap()).unwrap_err().to_string();
        assert_eq!(message, "weights: tensor `a` has shape [1], expected [2]");
    }
}
