// What one tensor looks like: moments and range of the finite values, counts of the others.
#include "reduce.cuh"

struct Moments {
    double sums[4];
    u32 zeros, nans, infs;
    float least, most;
};

// Without a branch: a value that is not finite counts as zero, but not among the zeros.
__device__ inline void add_value(Moments& moments, float value) {
    bool finite = is_finite(value), nan = value != value;
    double x = (double)(finite ? value : 0.0f), square = x * x;
    moments.sums[0] += x;
    moments.sums[1] += square;
    moments.sums[2] = fma(square, x, moments.sums[2]);
    moments.sums[3] = fma(square, square, moments.sums[3]);
    moments.zeros += value == 0.0f;
    moments.nans += nan;
    moments.infs += !finite && !nan;
    moments.least = finite && value < moments.least ? value : moments.least;
    moments.most = finite && value > moments.most ? value : moments.most;
}

template <u32 D, bool WHOLE> __device__ inline void add_all(Moments& moments, const u8* bytes, u64 elements) {
#pragma unroll 4
    for (u32 turn = 0; turn < SPAN / TURN; turn++) {
        u64 at = (u64)blockIdx.x * SPAN + turn * TURN + threadIdx.x * PER_THREAD;
        float values[PER_THREAD];
        load_some<D, PER_THREAD, WHOLE>(D, bytes, at, elements, values);
#pragma unroll
        for (u32 i = 0; i < PER_THREAD; i++) {
            if (WHOLE || at + i < elements) add_value(moments, values[i]);
        }
    }
}

template <u32 D> __device__ inline void add_span(Moments& moments, const u8* bytes, u64 elements) {
    if ((u64)(blockIdx.x + 1) * SPAN <= elements) add_all<D, true>(moments, bytes, elements);
    else add_all<D, false>(moments, bytes, elements);
}

// Σ x, Σ x², Σ x³, Σ x⁴, zeros, NaNs, infinities of one span, then its smallest and largest finite value.
extern "C" __global__ void tensor_stats(u32 dtype, const u8* bytes, u64 elements, double* out) {
    __shared__ float low[THREADS], high[THREADS];
    u32 thread = threadIdx.x;
    Moments moments = {{0, 0, 0, 0}, 0, 0, 0, float_of(0x7F800000u), float_of(0xFF800000u)};
    switch (dtype) {
        case F8E4M3: add_span<F8E4M3>(moments, bytes, elements); break;
        case F8E5M2: add_span<F8E5M2>(moments, bytes, elements); break;
        case F16: add_span<F16>(moments, bytes, elements); break;
        case BF16: add_span<BF16>(moments, bytes, elements); break;
        case F32: add_span<F32>(moments, bytes, elements); break;
        default:
            for (u32 turn = 0; turn < SPAN / THREADS; turn++) {
                u64 at = (u64)blockIdx.x * SPAN + turn * THREADS + thread;
                if (at < elements) add_value(moments, narrow(((const double*)bytes)[at]));
            }
    }
    double* mine = out + (u64)blockIdx.x * 9;
    double sums[7] = {moments.sums[0],       moments.sums[1],      moments.sums[2],     moments.sums[3],
                      (double)moments.zeros, (double)moments.nans, (double)moments.infs};
    block_sums<7>(sums, mine);
    low[thread] = moments.least;
    high[thread] = moments.most;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) {
            low[thread] = low[thread + half] < low[thread] ? low[thread + half] : low[thread];
            high[thread] = high[thread + half] > high[thread] ? high[thread + half] : high[thread];
        }
    }
    if (thread == 0) {
        mine[7] = (double)low[0];
        mine[8] = (double)high[0];
    }
}
