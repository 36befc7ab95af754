// What all kernels share: bf16 in memory beside f32 in the registers, and sums over a block.
//
// Nothing here is warp-specialised: all threads of a block come to every barrier and every shuffle together. A card does
// not ask for that; the emulation on a CPU that tests the kernels does (tests/card/emulate.hpp).
#pragma once

struct bf16 {
    unsigned short bits;
};

__device__ __forceinline__ float load(float x) { return x; }
__device__ __forceinline__ float load(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

__device__ __forceinline__ void store(float *to, float x) { *to = x; }
// To the nearest, halves to even; what is no number stays none.
__device__ __forceinline__ void store(bf16 *to, float x) {
    unsigned bits = __float_as_uint(x);
    bool none = (bits & 0x7fffffffu) > 0x7f800000u;
    bits = none ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
    to->bits = (unsigned short)(bits >> 16);
}

// Four numbers that are read and written at once.
template <class T> struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

template <class T> __device__ __forceinline__ bool aligned(const T *p) { return (size_t)p % sizeof(Four<T>) == 0; }

struct Sum {
    template <class N> __device__ static N of(N a, N b) { return a + b; }
};
struct Largest {
    __device__ static float of(float a, float b) { return a > b ? a : b; }
};

// Op over the `value`s of a block, whose threads are a multiple of 32; the same on all of them, but for what is no number, and always in
// the same order. `none` changes nothing that it is put to.
template <class Op, class N> __device__ N over_block(N value, N none) {
    __shared__ N parts[32];
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (int far = 16; far > 0; far /= 2) value = Op::of(value, __shfl_xor_sync(~0u, value, far));
    if (warps == 1) return value;
    __syncthreads();
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = lane < warps ? parts[lane] : none;
    for (int far = 16; far > 0; far /= 2) value = Op::of(value, __shfl_xor_sync(~0u, value, far));
    return value;
}

template <class N> __device__ __forceinline__ N total(N value) { return over_block<Sum, N>(value, N(0)); }
__device__ __forceinline__ float largest(float value) { return over_block<Largest, float>(value, -INFINITY); }

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
