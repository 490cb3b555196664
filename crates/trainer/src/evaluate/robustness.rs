//! Effective robustness: how much better a model does on a shifted set than its accuracy on ImageNet lets expect.
//!
//! Taori et al. (2020) draw a line through standard models: on axes of logits, accuracy on ImageNet-V2 (matched frequency)
//! over accuracy on ImageNet. The line here is the least-squares fit to the 85 models that their published table
//! (`robustness_top1s.csv`) calls standard.

/// Slope of the baseline.
const SLOPE: f64 = 0.923_229;

/// Its value where the accuracy on ImageNet is one half.
const INTERCEPT: f64 = -0.497_690;

/// Accuracy on ImageNet-V2 that standard models of this accuracy on ImageNet have; both 0 to 1.
pub fn baseline(imagenet: f64) -> f64 {
    // Beyond what 50,000 pictures can tell, logits have no meaning.
    let accuracy = imagenet.clamp(1e-5, 1.0 - 1e-5);
    let logit = SLOPE * (accuracy / (1.0 - accuracy)).ln() + INTERCEPT;
    1.0 / (1.0 + (-logit).exp())
}

/// Accuracy on ImageNet-V2 beyond the baseline.
pub fn effective_robustness(imagenet: f64, imagenet_v2: f64) -> f64 {
    imagenet_v2 - baseline(imagenet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_models_lie_on_the_line() {
        // ResNet-50 of torchvision: 76.13 % and 63.20 %; ResNet-18: 69.76 % and 57.31 %.
        assert!(effective_robustness(0.7613, 0.6320).abs() < 0.01);
        assert!(effective_robustness(0.6976, 0.5731).abs() < 0.02);
    }

    #[test]
    fn clip_lies_above_it() {
        // ViT-B-16 of OpenAI: 68.3 % and 61.9 %.
        let robustness = effective_robustness(0.683, 0.619);
        assert!((0.05..0.10).contains(&robustness), "{robustness}");
        assert!(baseline(0.0).is_finite() && baseline(1.0) < 1.0);
    }
}
