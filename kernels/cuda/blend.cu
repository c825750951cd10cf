// Weighted sums straight from stored bytes: linear merges, task arithmetic, and the last step of every merge along a
// sphere, whose factors are found before.
#include "reduce.cuh"

// `Σ c·x` in the order of the terms, in f64 and rounded once; terms of factor zero are not added. `keep` asks for the first
// input where the bits of all agree. Counts what leaves the range, and values that are not finite.
extern "C" __global__ void weighted_sum(const u8* arena, const Input* terms, u32 count, u32 keep, u32 dtype, u8* out,
                                        u64 elements, u64* counters) {
    u64 first_at = (u64)blockIdx.x * TURN + threadIdx.x * PER_THREAD;
    u32 over = 0, bad = 0;
    double sums[PER_THREAD], first[PER_THREAD];
    u64 differing[PER_THREAD];
    bool nothing = true;
#pragma unroll
    for (u32 i = 0; i < PER_THREAD; i++) {
        sums[i] = -0.0;
        first[i] = 0.0;
        differing[i] = 0;
    }
    for (u32 term = 0; term < count; term++) {
        Input input = terms[term];
        const u8* bytes = arena + input.offset;
        double values[PER_THREAD];
        if (input.dtype == F64) {
#pragma unroll
            for (u32 i = 0; i < PER_THREAD; i++) {
                values[i] = first_at + i < elements ? ((const double*)bytes)[first_at + i] : 0.0;
            }
        } else {
            float narrow_values[PER_THREAD];
            load_some<ANY, PER_THREAD>(input.dtype, bytes, first_at, elements, narrow_values);
#pragma unroll
            for (u32 i = 0; i < PER_THREAD; i++) values[i] = (double)narrow_values[i];
        }
        nothing &= input.factor == 0.0;
#pragma unroll
        for (u32 i = 0; i < PER_THREAD; i++) {
            bad += !is_finite(values[i]);
            if (term == 0) first[i] = values[i];
            differing[i] |= bits_of(values[i]) ^ bits_of(first[i]);
            if (input.factor != 0.0) sums[i] = __dadd_rn(sums[i], __dmul_rn(input.factor, values[i]));
        }
    }
#pragma unroll
    for (u32 i = 0; i < PER_THREAD; i++) {
        double sum = nothing ? 0.0 : sums[i];
        if (keep && differing[i] == 0) sum = first[i];
        if (first_at + i < elements) store_f64(dtype, out, first_at + i, sum, over);
    }
    count_all(over, &counters[0]);
    count_all(bad, &counters[1]);
}
