// What this CPU, and its operating system, can run.
#pragma once

namespace grukit {

struct Features {
  bool avx2;    // and FMA; whoever has them has F16C
  bool avx512;  // F, BW, VL and DQ
  bool bf16;    // dot products of bfloat16, AVX512-BF16
  bool vnni;    // dot products of int8, AVX512-VNNI
  bool neon;
};

const Features &features();

}  // namespace grukit
