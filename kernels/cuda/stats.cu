// What one tensor looks like: moments and range of the finite values, counts of the others.
#include "reduce.cuh"

// Σ x, Σ x², Σ x³, Σ x⁴, zeros, NaNs, infinities of one span, then its smallest and largest finite value.
extern "C" __global__ void tensor_stats(u32 dtype, const u8* bytes, u64 elements, double* out) {
    __shared__ float low[THREADS], high[THREADS];
    double sums[7] = {0, 0, 0, 0, 0, 0, 0};
    u32 thread = threadIdx.x;
    float least = float_of(0x7F800000u), most = float_of(0xFF800000u);
    for (u32 turn = 0; turn < SPAN / THREADS; turn++) {
        u64 at = (u64)blockIdx.x * SPAN + turn * THREADS + thread;
        if (at >= elements) break;
        float value = load_f32(dtype, bytes, at);
        if (is_finite(value)) {
            double x = (double)value, square = x * x;
            sums[0] += x;
            sums[1] += square;
            sums[2] += square * x;
            sums[3] += square * square;
            sums[4] += value == 0.0f;
            least = value < least ? value : least;
            most = value > most ? value : most;
        } else {
            bool nan = value != value;
            sums[5] += nan;
            sums[6] += !nan;
        }
    }
    double* mine = out + (u64)blockIdx.x * 9;
    block_sums<7>(sums, mine);
    low[thread] = least;
    high[thread] = most;
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
