// Numbers as they are stored, and back: the same bits as kernels/src/float.rs and small.rs give. Needs no header.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// Threads of every block.
#define THREADS 256u
// Elements that a thread takes at a time where they are stored bytes.
#define PER_THREAD 8u
// Elements that a block takes at a time.
#define TURN (THREADS * PER_THREAD)
// Elements whose sums are added up by one block; four make a block of the CPU's kernels.
#define SPAN 16384u

// Codes of the dtypes, as the host numbers them.
enum : u32 { F8E4M3 = 0, F8E5M2 = 1, F16 = 2, BF16 = 3, F32 = 4, F64 = 5, ANY = 6 };

// One stored input: its first byte in a common arena, what it counts, its dtype.
struct Input {
    u64 offset;
    double factor;
    u32 dtype;
    u32 unused;
};

__device__ inline u32 bits_of(float value) { return __float_as_uint(value); }
__device__ inline float float_of(u32 bits) { return __uint_as_float(bits); }
__device__ inline u64 bits_of(double value) { return (u64)__double_as_longlong(value); }
__device__ inline double double_of(u64 bits) { return __longlong_as_double((long long)bits); }

__device__ inline bool is_finite(float value) { return (bits_of(value) & 0x7F800000u) != 0x7F800000u; }
__device__ inline bool is_finite(double value) {
    return (bits_of(value) & 0x7FF0000000000000ull) != 0x7FF0000000000000ull;
}

// Conversions of hardware give NaN one set of bits; these keep its sign and payload.
__device__ inline double widen(float value) {
    u32 bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) <= 0x7F800000u) return (double)value;
    return double_of(((u64)(bits >> 31) << 63) | 0x7FF8000000000000ull | ((u64)(bits & 0x7FFFFFu) << 29));
}

__device__ inline double widen(double value) { return value; }

__device__ inline float narrow(double value) {
    u64 bits = bits_of(value);
    if ((bits & 0x7FFFFFFFFFFFFFFFull) <= 0x7FF0000000000000ull) return (float)value;
    return float_of((u32)(bits >> 63 << 31) | 0x7FC00000u | (u32)((bits >> 29) & 0x7FFFFFu));
}

__device__ inline void put(float& to, float from) { to = from; }
__device__ inline void put(float& to, double from) { to = narrow(from); }
__device__ inline void put(double& to, float from) { to = widen(from); }
__device__ inline void put(double& to, double from) { to = from; }

// f64 to f32 rounding to odd, which keeps a later rounding to a narrower format exact.
__device__ inline float to_odd(double value) {
    u64 whole = bits_of(value);
    u32 high = (u32)(whole >> 32), low = (u32)whole;
    // Between normal numbers what is cut off only sets the last bit; a conversion and back takes several times as long.
    if (((high >> 20) & 0x7FFu) - 897u < 254u) {
        u32 kept = (((high & 0x7FFFFFFFu) - 0x38000000u) << 3) | (low >> 29);
        return float_of((high & 0x80000000u) | kept | ((low & 0x1FFFFFFFu) != 0));
    }
    float near = narrow(value);
    u32 bits = bits_of(near);
    double back = (double)near;
    u32 away = fabs(back) > fabs(value), missing = fabs(back) < fabs(value), even = ~bits & 1u;
    return float_of(bits + (even & missing) - (even & away));
}

// Widths and special codes of a format of at most 16 bits; `over` is what a finite value beyond `max` becomes.
template <u32 D> struct Format;
template <> struct Format<F8E4M3> {
    static const u32 mantissa = 3, bias = 7, sign = 8, max = 0x7E, over = 0x7E, infinity = 0x7F;
};
template <> struct Format<F8E5M2> {
    static const u32 mantissa = 2, bias = 15, sign = 8, max = 0x7B, over = 0x7C, infinity = 0x7C;
};
template <> struct Format<F16> {
    static const u32 mantissa = 10, bias = 15, sign = 16, max = 0x7BFF, over = 0x7C00, infinity = 0x7C00;
};

// A conversion of hardware; the bits of a NaN are its own.
__device__ inline float half_of(u32 code) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"((u16)code));
    return value;
#else
    return half_as_float(code);
#endif
}

// The f32 that a code stands for. `scale` brings the exponent from the code's bias to that of f32, which is exact and
// also right for subnormal codes.
template <u32 D> __device__ inline float unpack(u32 code) {
    typedef Format<D> T;
    u32 magnitude = code & ((1u << (T::sign - 1)) - 1);
    if (D == F16 && magnitude <= 0x7C00) return half_of(code);
    u32 sign = code >> (T::sign - 1) << 31;
    float scale = float_of((254 - T::bias) << 23);
    u32 bits = bits_of(float_of(magnitude << (23 - T::mantissa)) * scale);
    if (magnitude > T::max) {
        u32 fraction = magnitude & ((1u << T::mantissa) - 1);
        bits = 0x7F800000u | (fraction << (23 - T::mantissa));
        // A processor's conversion of halves makes every NaN a quiet one; that of eight bits is a table.
        if (D == F16 && fraction) bits |= 0x400000u;
    }
    return float_of(sign | bits);
}

// `bits / 2^down` to nearest, ties to even; a carry runs into the exponent as it should.
__device__ inline u32 round_shift(u32 bits, u32 down) {
    return (bits + ((1u << (down - 1)) - 1) + ((bits >> down) & 1)) >> down;
}

// The nearest code, ties to even; counts a finite value that left the range.
template <u32 D> __device__ inline u32 pack(float value, u32& over) {
    typedef Format<D> T;
    u32 bits = bits_of(value);
    u32 sign = bits >> 31 << (T::sign - 1);
    u32 magnitude = bits & 0x7FFFFFFFu, fraction = magnitude & 0x7FFFFFu;
    int exponent = (int)(magnitude >> 23);
    if (exponent == 255) {
        if (fraction == 0) return sign | T::infinity;
        if (D == F8E4M3) return sign | 0x7F;
        u32 kept = fraction >> (23 - T::mantissa), quiet = 1u << (T::mantissa - 1);
        if (D == F16) kept |= quiet;
        return sign | T::infinity | (kept ? kept : quiet);
    }
    int target = exponent - 127 + (int)T::bias;
    u32 down = 23 - T::mantissa, code = 0;
    if (target >= 1) {
        code = round_shift(((u32)target << 23) | fraction, down);
    } else {
        down += (u32)(1 - target);
        if (exponent != 0 && down <= 24) code = round_shift(fraction | (1u << 23), down);
    }
    if (code <= T::max) return sign | code;
    over += 1;
    return sign | T::over;
}

__device__ inline u32 pack_bf16(float value, u32& over) {
    u32 bits = bits_of(value), magnitude = bits & 0x7FFFFFFFu, cut = bits >> 16;
    u32 code = (bits + 0x7FFF + (cut & 1)) >> 16;
    // Past the middle between the largest number and what would follow it.
    if (magnitude < 0x7F7F8000u) return code;
    if (magnitude > 0x7F800000u) return cut | ((cut & 0x7F) ? 0 : 0x40);
    over += magnitude != 0x7F800000u;
    return code;
}

__device__ inline u32 width_of(u32 dtype) { return dtype <= F8E5M2 ? 1 : dtype <= BF16 ? 2 : dtype == F32 ? 4 : 8; }

// One element as f32; an f64 is rounded.
__device__ inline float load_f32(u32 dtype, const u8* bytes, u64 at) {
    switch (dtype) {
        case F8E4M3: return unpack<F8E4M3>(bytes[at]);
        case F8E5M2: return unpack<F8E5M2>(bytes[at]);
        case F16: return unpack<F16>(((const u16*)bytes)[at]);
        case BF16: return float_of((u32)((const u16*)bytes)[at] << 16);
        case F32: return ((const float*)bytes)[at];
        default: return narrow(((const double*)bytes)[at]);
    }
}

__device__ inline double load_f64(u32 dtype, const u8* bytes, u64 at) {
    return dtype == F64 ? ((const double*)bytes)[at] : widen(load_f32(dtype, bytes, at));
}

template <u32 BYTES> struct __align__(BYTES < 16 ? BYTES : 16) Words {
    u32 word[BYTES / 4];
};

// `V` consecutive elements from `at`, a multiple of `V`, as f32: one wide load, for formats of at most 32 bits. Only
// where `EXACT` is asked for a NaN has the bits that the processor gives it.
template <u32 D, u32 V, bool EXACT> __device__ inline void load_many(const u8* bytes, u64 at, float (&out)[V]) {
    const u32 width = D <= F8E5M2 ? 1 : D <= BF16 ? 2 : 4;
    Words<width * V> words = *(const Words<width * V>*)(bytes + at * width);
#pragma unroll
    for (u32 i = 0; i < V; i++) {
        u32 word = words.word[i * width / 4];
        u32 code = width == 4 ? word : (word >> (8 * (i * width % 4))) & (width == 2 ? 0xFFFFu : 0xFFu);
        if (D == F8E4M3) out[i] = unpack<F8E4M3>(code);
        if (D == F8E5M2) out[i] = unpack<F8E5M2>(code);
        if (D == F16) out[i] = EXACT ? unpack<F16>(code) : half_of(code);
        if (D == BF16) out[i] = float_of(code << 16);
        if (D == F32) out[i] = float_of(code);
    }
}

template <u32 V, bool EXACT> __device__ inline void load_any(u32 dtype, const u8* bytes, u64 at, float (&out)[V]) {
    switch (dtype) {
        case F8E4M3: load_many<F8E4M3, V, EXACT>(bytes, at, out); break;
        case F8E5M2: load_many<F8E5M2, V, EXACT>(bytes, at, out); break;
        case F16: load_many<F16, V, EXACT>(bytes, at, out); break;
        case BF16: load_many<BF16, V, EXACT>(bytes, at, out); break;
        default: load_many<F32, V, EXACT>(bytes, at, out); break;
    }
}

template <u32 D, u32 V, bool EXACT>
__device__ inline void load_known(u32 dtype, const u8* bytes, u64 at, float (&out)[V]) {
    if constexpr (D == ANY) load_any<V, EXACT>(dtype, bytes, at, out);
    else load_many<D, V, EXACT>(bytes, at, out);
}

// `V` elements from `at`, zeros past the end; `D` is their dtype, or ANY for the one named by `dtype`. Bytes are readable up
// to the next multiple of 32 past the last element. `WHOLE` says that none is past the end.
template <u32 D, u32 V, bool WHOLE = false>
__device__ inline void load_some(u32 dtype, const u8* bytes, u64 at, u64 elements, float (&out)[V]) {
    // Without a branch between them several loads are on their way at once.
    if (WHOLE) {
        load_known<D, V, false>(dtype, bytes, at, out);
        return;
    }
    if (at >= elements) {
#pragma unroll
        for (u32 i = 0; i < V; i++) out[i] = 0.0f;
        return;
    }
    load_known<D, V, true>(dtype, bytes, at, out);
    if (at + V <= elements) return;
#pragma unroll
    for (u32 i = 0; i < V; i++) out[i] = at + i < elements ? out[i] : 0.0f;
}

// Consecutive numbers that are read or written at once.
template <typename T, u32 V> struct __align__(16) Pack {
    T of[V];
};

// Numbers from `at`, a multiple of `V`, zeros past the end.
template <u32 V, typename T> __device__ inline Pack<T, V> load_pack(const T* values, u64 at, u64 elements) {
    if (at + V <= elements) return *(const Pack<T, V>*)(values + at);
    Pack<T, V> pack;
#pragma unroll
    for (u32 i = 0; i < V; i++) pack.of[i] = at + i < elements ? values[at + i] : 0;
    return pack;
}

template <u32 V, typename T> __device__ inline void store_pack(T* values, u64 at, u64 elements, const Pack<T, V>& pack) {
    if (at + V <= elements) {
        *(Pack<T, V>*)(values + at) = pack;
        return;
    }
    for (u32 i = 0; i < V; i++) {
        if (at + i < elements) values[at + i] = pack.of[i];
    }
}

// The code of one number in a format of at most 32 bits, rounded once.
template <u32 D> __device__ inline u32 code_of(float value, u32& over) {
    if constexpr (D == F32) return bits_of(value);
    else if constexpr (D == BF16) return pack_bf16(value, over);
    else return pack<D>(value, over);
}

template <u32 D> __device__ inline u32 code_of(double value, u32& over) {
    if (D != F32) return code_of<D>(to_odd(value), over);
    float near = narrow(value);
    over += is_finite(value) && !is_finite(near);
    return bits_of(near);
}

// Writes one number rounded once.
template <typename T> __device__ inline void store_one(u32 dtype, u8* bytes, u64 at, T value, u32& over) {
    switch (dtype) {
        case F8E4M3: bytes[at] = (u8)code_of<F8E4M3>(value, over); break;
        case F8E5M2: bytes[at] = (u8)code_of<F8E5M2>(value, over); break;
        case F16: ((u16*)bytes)[at] = (u16)code_of<F16>(value, over); break;
        case BF16: ((u16*)bytes)[at] = (u16)code_of<BF16>(value, over); break;
        case F32: ((u32*)bytes)[at] = code_of<F32>(value, over); break;
        default: ((double*)bytes)[at] = widen(value); break;
    }
}

// Writes `V` elements from `at`, a multiple of `V`, rounded once: one wide store where none is past the end.
template <u32 D, u32 V, typename T>
__device__ inline void store_many(u8* bytes, u64 at, u64 elements, const T (&values)[V], u32& over) {
    if (at + V > elements) {
#pragma unroll
        for (u32 i = 0; i < V; i++) {
            if (at + i < elements) store_one(D, bytes, at + i, values[i], over);
        }
        return;
    }
    const u32 width = D <= F8E5M2 ? 1 : D <= BF16 ? 2 : 4;
    Words<width * V> words;
#pragma unroll
    for (u32 i = 0; i < width * V / 4; i++) words.word[i] = 0;
#pragma unroll
    for (u32 i = 0; i < V; i++) words.word[i * width / 4] |= code_of<D>(values[i], over) << (8 * (i * width % 4));
    *(Words<width * V>*)(bytes + at * width) = words;
}

template <u32 V, typename T>
__device__ inline void store_some(u32 dtype, u8* bytes, u64 at, u64 elements, const T (&values)[V], u32& over) {
    switch (dtype) {
        case F8E4M3: store_many<F8E4M3, V>(bytes, at, elements, values, over); break;
        case F8E5M2: store_many<F8E5M2, V>(bytes, at, elements, values, over); break;
        case F16: store_many<F16, V>(bytes, at, elements, values, over); break;
        case BF16: store_many<BF16, V>(bytes, at, elements, values, over); break;
        case F32: store_many<F32, V>(bytes, at, elements, values, over); break;
        default:
#pragma unroll
            for (u32 i = 0; i < V; i++) {
                if (at + i < elements) ((double*)bytes)[at + i] = widen(values[i]);
            }
    }
}

// What one thread takes of two inputs of one format, zeros past the end.
template <u32 D>
__device__ inline void load_two(const u8* a, const u8* b, u64 at, u64 elements, float (&left)[PER_THREAD],
                                float (&right)[PER_THREAD]) {
    if (at + PER_THREAD <= elements) {
        load_some<D, PER_THREAD, true>(D, a, at, elements, left);
        load_some<D, PER_THREAD, true>(D, b, at, elements, right);
    } else {
        load_some<D, PER_THREAD>(D, a, at, elements, left);
        load_some<D, PER_THREAD>(D, b, at, elements, right);
    }
}

// Position `index` of the stream `key` of splitmix64.
__device__ inline u64 splitmix(u64 key, u64 index) {
    u64 z = key + (index + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

__device__ inline double splitmix_unit(u64 key, u64 index) {
    return (double)(splitmix(key, index) >> 11) * (1.0 / 9007199254740992.0);
}

// The element of a thread that has one.
__device__ inline u64 own_element() { return (u64)blockIdx.x * THREADS + threadIdx.x; }
