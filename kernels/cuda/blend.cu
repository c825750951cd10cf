// Weighted sums straight from stored bytes: linear merges, task arithmetic, and the last step of every merge along a
// sphere, whose factors are found before.
#include "reduce.cuh"

// Terms whose elements are on their way at once.
#define TOGETHER 4u

// Inputs of one format of at most 32 bits; `D` is that, or ANY for several. `WHOLE`: no element of the thread is past the end.
template <u32 D, bool WHOLE>
__device__ inline void blend(const u8* arena, const Input* terms, u32 count, u32 keep, u32 dtype, u8* out, u64 elements,
                             u32& over, u32& bad) {
    u64 at = (u64)blockIdx.x * TURN + threadIdx.x * PER_THREAD;
    double sums[PER_THREAD];
    float first[PER_THREAD];
    u32 differing[PER_THREAD], largest = 0;
    bool nothing = true;
#pragma unroll
    for (u32 i = 0; i < PER_THREAD; i++) {
        sums[i] = -0.0;
        differing[i] = 0;
    }
    for (u32 from = 0; from < count; from += TOGETHER) {
        float values[TOGETHER][PER_THREAD];
        double factors[TOGETHER];
#pragma unroll
        for (u32 i = 0; i < TOGETHER; i++) {
            // Past the last term it is taken again and not added.
            Input input = terms[min(from + i, count - 1)];
            factors[i] = input.factor;
            load_some<D, PER_THREAD, WHOLE>(input.dtype, arena + input.offset, at, elements, values[i]);
        }
#pragma unroll
        for (u32 term = 0; term < TOGETHER; term++) {
            if (from + term >= count) break;
#pragma unroll
            for (u32 i = 0; i < PER_THREAD; i++) {
                u32 bits = bits_of(values[term][i]);
                largest = max(largest, bits & 0x7FFFFFFFu);
                if (from + term == 0) first[i] = values[term][i];
                differing[i] |= bits ^ bits_of(first[i]);
            }
            if (factors[term] == 0.0) continue;
            nothing = false;
#pragma unroll
            for (u32 i = 0; i < PER_THREAD; i++) {
                sums[i] = __dadd_rn(sums[i], __dmul_rn(factors[term], (double)values[term][i]));
            }
        }
    }
    bad += largest >= 0x7F800000u;
#pragma unroll
    for (u32 i = 0; i < PER_THREAD; i++) {
        if (nothing) sums[i] = 0.0;
        if (keep && differing[i] == 0) sums[i] = (double)first[i];
    }
    store_some<PER_THREAD>(dtype, out, at, elements, sums, over);
}

template <u32 D>
__device__ inline void blend_all(const u8* arena, const Input* terms, u32 count, u32 keep, u32 dtype, u8* out, u64 elements,
                                 u32& over, u32& bad) {
    if ((u64)(blockIdx.x + 1) * TURN <= elements) blend<D, true>(arena, terms, count, keep, dtype, out, elements, over, bad);
    else blend<D, false>(arena, terms, count, keep, dtype, out, elements, over, bad);
}

// Inputs of which some are f64, one element at a time.
__device__ inline void blend_wide(const u8* arena, const Input* terms, u32 count, u32 keep, u32 dtype, u8* out, u64 elements,
                                  u32& over, u32& bad) {
    for (u32 i = 0; i < PER_THREAD; i++) {
        u64 at = (u64)blockIdx.x * TURN + i * THREADS + threadIdx.x;
        if (at >= elements) return;
        double sum = -0.0, first = 0.0;
        u64 differing = 0;
        bool nothing = true;
        for (u32 term = 0; term < count; term++) {
            Input input = terms[term];
            double value = load_f64(input.dtype, arena + input.offset, at);
            nothing &= input.factor == 0.0;
            bad += !is_finite(value);
            if (term == 0) first = value;
            differing |= bits_of(value) ^ bits_of(first);
            if (input.factor != 0.0) sum = __dadd_rn(sum, __dmul_rn(input.factor, value));
        }
        if (nothing) sum = 0.0;
        if (keep && differing == 0) sum = first;
        store_one(dtype, out, at, sum, over);
    }
}

// `Σ c·x` in the order of the terms, in f64 and rounded once; terms of factor zero are not added. `keep` asks for the first
// input where the bits of all agree. Counts what leaves the range, and threads that met
// a value that is not finite.
extern "C" __global__ void weighted_sum(const u8* arena, const Input* terms, u32 count, u32 keep, u32 dtype, u8* out,
                                        u64 elements, u64* counters) {
    u32 over = 0, bad = 0, common = terms[0].dtype;
    for (u32 term = 1; term < count; term++) {
        u32 other = terms[term].dtype;
        common = common == F64 || other == F64 ? F64 : common == other ? common : ANY;
    }
    switch (common) {
        case BF16: blend_all<BF16>(arena, terms, count, keep, dtype, out, elements, over, bad); break;
        case F16: blend_all<F16>(arena, terms, count, keep, dtype, out, elements, over, bad); break;
        case F32: blend_all<F32>(arena, terms, count, keep, dtype, out, elements, over, bad); break;
        case F64: blend_wide(arena, terms, count, keep, dtype, out, elements, over, bad); break;
        default: blend_all<ANY>(arena, terms, count, keep, dtype, out, elements, over, bad); break;
    }
    count_all(over, &counters[0]);
    count_all(bad, &counters[1]);
}
