// Radix selection of the k-th largest magnitude: a histogram of one digit of those that share the digits before.
#include "reduce.cuh"

// Values of one digit at most.
#define DIGITS 2048u
#define COPIES 2u

// Counts `(m >> shift) & mask` of the magnitudes m (f32 bits without a sign) with `m >> prefix_shift == prefix`. Every
// other warp counts for itself, so that fewer threads meet at one counter.
template <typename Read>
__device__ inline void histogram(Read read, u64 elements, u32 shift, u32 mask, u32 prefix_shift, u32 prefix, u64* counts,
                                 u32 (&held)[COPIES][DIGITS]) {
    for (u32 slot = threadIdx.x; slot < COPIES * DIGITS; slot += THREADS) held[slot / DIGITS][slot % DIGITS] = 0;
    __syncthreads();
    u32* mine = held[threadIdx.x / 32 % COPIES];
    for (u64 from = (u64)blockIdx.x * TURN; from < elements; from += (u64)gridDim.x * TURN) {
        u64 at = from + threadIdx.x * PER_THREAD;
        u32 magnitudes[PER_THREAD];
        read(at, elements, magnitudes);
#pragma unroll
        for (u32 i = 0; i < PER_THREAD; i++) {
            u32 bits = magnitudes[i];
            if (at + i < elements && (u32)((u64)bits >> prefix_shift) == prefix) {
                atomicAdd(&mine[(bits >> shift) & mask], 1u);
            }
        }
    }
    __syncthreads();
    for (u32 slot = threadIdx.x; slot < DIGITS; slot += THREADS) {
        u32 all = 0;
#pragma unroll
        for (u32 copy = 0; copy < COPIES; copy++) all += held[copy][slot];
        if (all) atomicAdd(&counts[slot], (u64)all);
    }
}

struct OfValues {
    const float* values;
    __device__ void operator()(u64 at, u64 elements, u32 (&out)[PER_THREAD]) const {
#pragma unroll
        for (u32 first = 0; first < PER_THREAD; first += 4) {
            Pack<float, 4> four = load_pack<4>(values, at + first, elements);
#pragma unroll
            for (u32 i = 0; i < 4; i++) out[first + i] = bits_of(four.of[i]) & 0x7FFFFFFFu;
        }
    }
};

// Differences rounded to f32; NaN ranks as zero. `D` is the format of both, of at most 32 bits: f64 between would round to
// the same; ANY where they are not alike or longer.
template <u32 D> struct OfDeltas {
    const u8 *a, *b;
    u32 a_dtype, b_dtype;
    __device__ void operator()(u64 at, u64 elements, u32 (&out)[PER_THREAD]) const {
        if (D == ANY) {
            for (u32 i = 0; i < PER_THREAD; i++) {
                double delta = 0.0;
                if (at + i < elements) delta = load_f64(a_dtype, a, at + i) - load_f64(b_dtype, b, at + i);
                out[i] = delta != delta ? 0 : bits_of((float)fabs(delta));
            }
            return;
        }
        float left[PER_THREAD], right[PER_THREAD];
        load_two<D>(a, b, at, elements, left, right);
#pragma unroll
        for (u32 i = 0; i < PER_THREAD; i++) {
            float delta = left[i] - right[i];
            out[i] = delta != delta ? 0 : bits_of(delta) & 0x7FFFFFFFu;
        }
    }
};

template <u32 D>
__device__ inline void deltas(const u8* arena, const Input* inputs, u64 elements, u32 shift, u32 mask, u32 prefix_shift,
                              u32 prefix, u64* counts, u32 (&held)[COPIES][DIGITS]) {
    OfDeltas<D> read{arena + inputs[0].offset, arena + inputs[1].offset, inputs[0].dtype, inputs[1].dtype};
    histogram(read, elements, shift, mask, prefix_shift, prefix, counts, held);
}

extern "C" __global__ void select_values(const float* values, u64 elements, u32 shift, u32 mask, u32 prefix_shift,
                                         u32 prefix, u64* counts) {
    __shared__ u32 held[COPIES][DIGITS];
    histogram(OfValues{values}, elements, shift, mask, prefix_shift, prefix, counts, held);
}

extern "C" __global__ void select_deltas(const u8* arena, const Input* inputs, u64 elements, u32 shift, u32 mask,
                                         u32 prefix_shift, u32 prefix, u64* counts) {
    __shared__ u32 held[COPIES][DIGITS];
    switch (inputs[0].dtype == inputs[1].dtype ? inputs[0].dtype : ANY) {
        case BF16: deltas<BF16>(arena, inputs, elements, shift, mask, prefix_shift, prefix, counts, held); break;
        case F16: deltas<F16>(arena, inputs, elements, shift, mask, prefix_shift, prefix, counts, held); break;
        case F32: deltas<F32>(arena, inputs, elements, shift, mask, prefix_shift, prefix, counts, held); break;
        default: deltas<ANY>(arena, inputs, elements, shift, mask, prefix_shift, prefix, counts, held); break;
    }
}
