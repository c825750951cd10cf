// Radix selection of the k-th largest magnitude: a histogram of one digit of those that share the digits before.
#include "reduce.cuh"

// Values of one digit at most.
#define DIGITS 2048u

// Counts `(m >> shift) & mask` of the magnitudes m (f32 bits without a sign) with `m >> prefix_shift == prefix`.
template <typename Read>
__device__ inline void histogram(Read magnitude, u64 elements, u32 shift, u32 mask, u32 prefix_shift, u32 prefix,
                                 u64* counts) {
    __shared__ u32 held[DIGITS];
    for (u32 slot = threadIdx.x; slot < DIGITS; slot += THREADS) held[slot] = 0;
    __syncthreads();
    for (u64 at = own_element(); at < elements; at += (u64)gridDim.x * THREADS) {
        u32 bits = magnitude(at);
        if ((u32)((u64)bits >> prefix_shift) == prefix) atomicAdd(&held[(bits >> shift) & mask], 1u);
    }
    __syncthreads();
    for (u32 slot = threadIdx.x; slot < DIGITS; slot += THREADS) {
        if (held[slot]) atomicAdd(&counts[slot], (u64)held[slot]);
    }
}

struct OfValues {
    const float* values;
    __device__ u32 operator()(u64 at) const { return bits_of(values[at]) & 0x7FFFFFFFu; }
};

// Differences in f64 rounded to f32; NaN ranks as zero.
struct OfDeltas {
    const u8 *a, *b;
    u32 a_dtype, b_dtype;
    __device__ u32 operator()(u64 at) const {
        double delta = load_f64(a_dtype, a, at) - load_f64(b_dtype, b, at);
        return delta != delta ? 0 : bits_of((float)fabs(delta));
    }
};

extern "C" __global__ void select_values(const float* values, u64 elements, u32 shift, u32 mask, u32 prefix_shift,
                                         u32 prefix, u64* counts) {
    histogram(OfValues{values}, elements, shift, mask, prefix_shift, prefix, counts);
}

extern "C" __global__ void select_deltas(const u8* arena, const Input* inputs, u64 elements, u32 shift, u32 mask,
                                         u32 prefix_shift, u32 prefix, u64* counts) {
    OfDeltas deltas{arena + inputs[0].offset, arena + inputs[1].offset, inputs[0].dtype, inputs[1].dtype};
    histogram(deltas, elements, shift, mask, prefix_shift, prefix, counts);
}
