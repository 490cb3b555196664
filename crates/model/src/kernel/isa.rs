//! Which instruction set the machine offers, and a macro that compiles one loop for each.

use std::sync::OnceLock;

/// Instruction sets that kernels are compiled for, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler assumes everywhere.
    Baseline,
}

/// The best instruction set of this machine; looked up once.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match (avx512, avx2) {
        (true, true) => Isa::Avx512,
        (false, true) => Isa::Avx2,
        _ => Isa::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Isa {
    Isa::Baseline
}

/// Defines `$name` as the loop `$body::<FMA>`, compiled once for every instruction set and chosen at run time.
///
/// `$body` must be `#[inline(always)]` and take `const FMA: bool` (whether fused multiply-add is one instruction).
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<true>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<true>($($arg),*)
            }
            match $crate::kernel::isa::isa() {
                // SAFETY: `isa` answers Avx512 only where the machine has every feature that is enabled above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: `isa` answers Avx2 only where the machine has both features.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                $crate::kernel::isa::Isa::Baseline => $body::<false>($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;
