// Stored bytes to numbers and back, one rounding, ties to even; finite values that leave a format's range are counted.
#include "reduce.cuh"

extern "C" __global__ void decode_f32(u32 dtype, const u8* bytes, float* out, u64 elements) {
    u64 at = own_element();
    if (at < elements) out[at] = load_f32(dtype, bytes, at);
}

extern "C" __global__ void decode_f64(u32 dtype, const u8* bytes, double* out, u64 elements) {
    u64 at = own_element();
    if (at < elements) out[at] = load_f64(dtype, bytes, at);
}

extern "C" __global__ void encode_f32(u32 dtype, const float* values, u8* out, u64 elements, u64* beyond) {
    u64 at = own_element();
    u32 over = 0;
    if (at < elements) store_f32(dtype, out, at, values[at], over);
    count_all(over, beyond);
}

extern "C" __global__ void encode_f64(u32 dtype, const double* values, u8* out, u64 elements, u64* beyond) {
    u64 at = own_element();
    u32 over = 0;
    if (at < elements) store_f64(dtype, out, at, values[at], over);
    count_all(over, beyond);
}

// The delta of two stored tensors: a − b in f64, rounded once.
extern "C" __global__ void delta_encode(const u8* arena, const Input* inputs, u32 dtype, u8* out, u64 elements,
                                        u64* beyond) {
    u64 at = own_element();
    u32 over = 0;
    if (at < elements) {
        double a = load_f64(inputs[0].dtype, arena + inputs[0].offset, at);
        double b = load_f64(inputs[1].dtype, arena + inputs[1].offset, at);
        store_f64(dtype, out, at, a - b, over);
    }
    count_all(over, beyond);
}

// Copies words of sixteen bytes: what reading and writing memory costs at least.
extern "C" __global__ void copy_words(const Words<16>* from, Words<16>* to, u64 words) {
    u64 at = own_element();
    if (at < words) to[at] = from[at];
}
