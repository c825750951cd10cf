// Stored bytes to numbers and back, one rounding, ties to even; finite values that leave a format's range are counted. A
// block takes TURN elements, several of them a thread.
#include "reduce.cuh"

// The element that a thread begins with where it takes `V` at a time, all threads those beside one another.
template <u32 V> __device__ inline u64 element_of(u32 turn) {
    return (u64)blockIdx.x * TURN + (turn * THREADS + threadIdx.x) * V;
}

template <u32 D, typename T> __device__ inline void decode(const u8* bytes, T* out, u64 elements) {
    const u32 V = sizeof(T) == 8 && D > F8E5M2 ? 2 : 4, turns = TURN / (THREADS * V);
    float values[turns][V];
#pragma unroll
    for (u32 turn = 0; turn < turns; turn++) load_some<D, V>(D, bytes, element_of<V>(turn), elements, values[turn]);
#pragma unroll
    for (u32 turn = 0; turn < turns; turn++) {
        Pack<T, V> pack;
#pragma unroll
        for (u32 i = 0; i < V; i++) put(pack.of[i], values[turn][i]);
        store_pack(out, element_of<V>(turn), elements, pack);
    }
}

template <typename T> __device__ inline void decode_any(u32 dtype, const u8* bytes, T* out, u64 elements) {
    switch (dtype) {
        case F8E4M3: decode<F8E4M3>(bytes, out, elements); break;
        case F8E5M2: decode<F8E5M2>(bytes, out, elements); break;
        case F16: decode<F16>(bytes, out, elements); break;
        case BF16: decode<BF16>(bytes, out, elements); break;
        case F32: decode<F32>(bytes, out, elements); break;
        default:
            for (u32 turn = 0; turn < PER_THREAD / 4; turn++) {
                Pack<double, 4> from = load_pack<4>((const double*)bytes, element_of<4>(turn), elements);
                Pack<T, 4> pack;
#pragma unroll
                for (u32 i = 0; i < 4; i++) put(pack.of[i], from.of[i]);
                store_pack(out, element_of<4>(turn), elements, pack);
            }
    }
}

template <typename T>
__device__ inline void encode_any(u32 dtype, const T* values, u8* out, u64 elements, u64* beyond) {
    u32 over = 0;
    Pack<T, 4> packs[PER_THREAD / 4];
#pragma unroll
    for (u32 turn = 0; turn < PER_THREAD / 4; turn++) packs[turn] = load_pack<4>(values, element_of<4>(turn), elements);
#pragma unroll
    for (u32 turn = 0; turn < PER_THREAD / 4; turn++) {
        store_some<4>(dtype, out, element_of<4>(turn), elements, packs[turn].of, over);
    }
    count_all(over, beyond);
}

extern "C" __global__ void decode_f32(u32 dtype, const u8* bytes, float* out, u64 elements) {
    decode_any(dtype, bytes, out, elements);
}

extern "C" __global__ void decode_f64(u32 dtype, const u8* bytes, double* out, u64 elements) {
    decode_any(dtype, bytes, out, elements);
}

extern "C" __global__ void encode_f32(u32 dtype, const float* values, u8* out, u64 elements, u64* beyond) {
    encode_any(dtype, values, out, elements, beyond);
}

extern "C" __global__ void encode_f64(u32 dtype, const double* values, u8* out, u64 elements, u64* beyond) {
    encode_any(dtype, values, out, elements, beyond);
}

// The differences of two inputs of one format of at most 32 bits.
template <u32 D>
__device__ inline void encode_deltas(const u8* a, const u8* b, u32 dtype, u8* out, u64 elements, u32& over) {
    u64 at = element_of<PER_THREAD>(0);
    float left[PER_THREAD], right[PER_THREAD];
    double deltas[PER_THREAD];
    load_two<D>(a, b, at, elements, left, right);
#pragma unroll
    for (u32 i = 0; i < PER_THREAD; i++) deltas[i] = (double)left[i] - (double)right[i];
    store_some<PER_THREAD>(dtype, out, at, elements, deltas, over);
}

// The delta of two stored tensors: a − b in f64, rounded once.
extern "C" __global__ void delta_encode(const u8* arena, const Input* inputs, u32 dtype, u8* out, u64 elements,
                                        u64* beyond) {
    u32 over = 0;
    const u8 *a = arena + inputs[0].offset, *b = arena + inputs[1].offset;
    switch (inputs[0].dtype == inputs[1].dtype ? inputs[0].dtype : ANY) {
        case BF16: encode_deltas<BF16>(a, b, dtype, out, elements, over); break;
        case F16: encode_deltas<F16>(a, b, dtype, out, elements, over); break;
        case F32: encode_deltas<F32>(a, b, dtype, out, elements, over); break;
        default:
            for (u32 i = 0; i < PER_THREAD; i++) {
                u64 at = element_of<1>(i);
                if (at >= elements) break;
                double delta = load_f64(inputs[0].dtype, a, at) - load_f64(inputs[1].dtype, b, at);
                store_one(dtype, out, at, delta, over);
            }
    }
    count_all(over, beyond);
}

// Copies words of sixteen bytes: what reading and writing memory costs at least.
extern "C" __global__ void copy_words(const Words<16>* from, Words<16>* to, u64 words) {
    u64 at = own_element();
    if (at < words) to[at] = from[at];
}
