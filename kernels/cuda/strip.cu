// Elementwise steps of merging on f64 strips: kernels/src/task.rs, wide.rs, mask.rs and elementwise.rs. Arrays of several
// models hold those of one after those of the one before.
#include "reduce.cuh"

extern "C" __global__ void subtract_f32(const float* a, const float* b, float* out, u64 elements) {
    u64 at = own_element();
    if (at < elements) out[at] = a[at] - b[at];
}

extern "C" __global__ void subtract_f64(const double* a, const double* b, double* out, u64 elements) {
    u64 at = own_element();
    if (at < elements) out[at] = a[at] - b[at];
}

extern "C" __global__ void add_scaled(double* sums, double scale, const float* x, u64 elements) {
    u64 at = own_element();
    if (at < elements) sums[at] = __dadd_rn(sums[at], __dmul_rn(scale, (double)x[at]));
}

// Adds to a stretch of one row of a low-rank product: `scale · Σₖ left[k] · right[k·width + from ..]`.
extern "C" __global__ void low_rank_row(double* sums, double scale, const float* left, u32 rank, const float* right,
                                        u64 width, u64 from, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double product = 0.0;
    for (u32 k = 0; k < rank; k++) {
        product = __dadd_rn(product, __dmul_rn((double)left[k], (double)right[k * width + from + at]));
    }
    sums[at] = __dadd_rn(sums[at], __dmul_rn(scale, product));
}

extern "C" __global__ void zero_nonfinite(double* values, u64 elements) {
    u64 at = own_element();
    if (at < elements && !is_finite(values[at])) values[at] = 0.0;
}

// What elements are ranked by: magnitudes in f32; NaN ranks as zero.
extern "C" __global__ void magnitudes(const double* values, float* out, u64 elements) {
    u64 at = own_element();
    if (at < elements) out[at] = values[at] != values[at] ? 0.0f : (float)fabs(values[at]);
}

// `b + Σ c·(x − b)` as one sum; exactly `b` where no input differs from it.
extern "C" __global__ void add_deltas(const double* base, const double* models, const double* factors, u32 count,
                                      double* out, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double moved = 0.0, sum = -0.0, b = base[at];
    u64 differing = 0;
    for (u32 model = 0; model < count; model++) {
        double factor = factors[model * elements + at], value = models[model * elements + at];
        moved += factor;
        if (factor != 0.0) sum = __dadd_rn(sum, __dmul_rn(factor, value));
        differing |= bits_of(value) ^ bits_of(b);
    }
    double rest = 1.0 - moved;
    double all = rest == 0.0 ? sum : __dadd_rn(__dmul_rn(rest, b), sum);
    out[at] = differing == 0 ? b : all;
}

__device__ inline double vote(u32 by_count, double term) {
    if (!by_count) return term;
    return term == 0.0 ? 0.0 : double_of((bits_of(term) & 0x8000000000000000ull) | 0x3FF0000000000000ull);
}

// Elects the sign of every element and leaves the factors that count after it. `flags`: 1 counts signs instead of adding
// terms, 2 divides by the shares that agree, 4 elects minus where the votes cancel out.
extern "C" __global__ void elect(const double* base, const double* models, double* factors, const double* shares, u32 count,
                                 u32 flags, double scale, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double b = base[at], sum = 0.0, total = 0.0;
    for (u32 model = 0; model < count; model++) {
        u64 place = model * elements + at;
        sum += vote(flags & 1, factors[place] * (models[place] - b));
    }
    double sign = (sum == 0.0 ? (flags & 4) != 0 : sum < 0.0) ? -1.0 : 1.0;
    for (u32 model = 0; model < count; model++) {
        u64 place = model * elements + at;
        bool agrees = factors[place] * (models[place] - b) * sign > 0.0;
        if (!agrees) factors[place] = 0.0;
        total += agrees ? shares[model] : 0.0;
    }
    if (!(flags & 2) || total == 0.0) total = 1.0;
    for (u32 model = 0; model < count; model++) {
        u64 place = model * elements + at;
        double factor = factors[place];
        if (flags & 2) factor /= total;
        factors[place] = factor * scale;
    }
}

// The votes at every element, whose sign is the elected one.
extern "C" __global__ void votes(const double* base, const double* models, const double* factors, u32 count, u32 by_count,
                                 double* sums, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double sum = 0.0;
    for (u32 model = 0; model < count; model++) {
        u64 place = model * elements + at;
        sum += vote(by_count, factors[place] * (models[place] - base[at]));
    }
    sums[at] = sum;
}

// Factors of deltas by SCE's rule.
extern "C" __global__ void share_out(const double* deltas, const double* weights, const double* kept, double floor_,
                                     double* factors, u32 count, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double sum = 0.0, total = 0.0;
    for (u32 model = 0; model < count; model++) sum += deltas[model * elements + at];
    for (u32 model = 0; model < count; model++) {
        double delta = deltas[model * elements + at];
        bool agrees = sum >= 0.0 ? delta > 0.0 : sum < 0.0 && delta < 0.0;
        double factor = agrees ? weights[model] * kept[at] : 0.0;
        factors[model * elements + at] = factor;
        total += factor;
    }
    total = fmax(total, floor_);
    if (total == 0.0) total = 1.0;
    for (u32 model = 0; model < count; model++) factors[model * elements + at] /= total;
}

// Population variance of several values at every element, exactly 0 where they are equal.
extern "C" __global__ void variances(const double* values, u32 count, double* out, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double mean = 0.0, variance = 0.0, first = count > 0 ? values[at] : 0.0;
    for (u32 model = 0; model < count; model++) mean += (values[model * elements + at] - first) / (double)count;
    for (u32 model = 0; model < count; model++) {
        double gap = (values[model * elements + at] - first) - mean;
        variance = __dadd_rn(variance, __dmul_rn(gap, gap) / (double)count);
    }
    out[at] = variance;
}

__device__ inline bool among_largest(double delta, u32 threshold, bool before) {
    u32 bits = delta != delta ? 0 : bits_of((float)fabs(delta));
    return bits > threshold || (bits == threshold && before);
}

// Zeroes the factors of deltas that a threshold drops; of those at it the first `cutoff` elements are kept.
extern "C" __global__ void keep_largest(u32 threshold, u64 cutoff, const double* delta, double* factors, u64 elements) {
    u64 at = own_element();
    if (at < elements && !among_largest(delta[at], threshold, at < cutoff)) factors[at] = 0.0;
}

extern "C" __global__ void drop_largest(u32 threshold, u64 cutoff, const double* delta, double* factors, u64 elements) {
    u64 at = own_element();
    if (at < elements && among_largest(delta[at], threshold, at < cutoff)) factors[at] = 0.0;
}

// Zeroes what draws a number of 53 bits not below `below`.
extern "C" __global__ void keep_random(u64 key, u64 start, u64 below, double* values, u64 elements) {
    u64 at = own_element();
    if (at < elements && (splitmix(key, start + at) >> 11) >= below) values[at] = 0.0;
}

// Zeroes the factors of the elements `start..` whose bit is not set in `words`, the lowest bit of a word first.
extern "C" __global__ void keep_listed(const u64* words, u64 count, u64 start, double* factors, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    u64 place = start + at, word = place / 64;
    u64 bits = word < count ? words[word] : 0;
    if (!((bits >> (place % 64)) & 1)) factors[at] = 0.0;
}

// NearSwap: the whole delta, or as much of it as `t`.
extern "C" __global__ void nearswap(const double* deltas, double t, double* factors, u64 elements) {
    u64 at = own_element();
    if (at >= elements) return;
    double size = fabs(deltas[at]);
    factors[at] = size <= t ? 1.0 : t / size;
}

// `Σ |δ|` and `Σ |c·δ|` of one span.
extern "C" __global__ void norms(const double* delta, const double* factors, u64 elements, double* out) {
    double sums[2] = {0, 0};
    for (u32 turn = 0; turn < SPAN / THREADS; turn++) {
        u64 at = (u64)blockIdx.x * SPAN + turn * THREADS + threadIdx.x;
        if (at >= elements) break;
        sums[0] += fabs(delta[at]);
        sums[1] += fabs(delta[at] * factors[at]);
    }
    block_sums<2>(sums, out + (u64)blockIdx.x * 2);
}

// `Σ a·b` of one span.
extern "C" __global__ void dot(const double* a, const double* b, u64 elements, double* out) {
    double sums[1] = {0};
    for (u32 turn = 0; turn < SPAN / THREADS; turn++) {
        u64 at = (u64)blockIdx.x * SPAN + turn * THREADS + threadIdx.x;
        if (at >= elements) break;
        sums[0] = fma(a[at], b[at], sums[0]);
    }
    block_sums<1>(sums, out + blockIdx.x);
}
