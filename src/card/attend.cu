// Attention of the next token of every sequence over the keys and values that are kept of it.
#include "common.cuh"

// Where they lie, (key heads, room, dim) each, and how many there are with the new one.
struct Sequence {
    void *keys, *values;
    unsigned filled, room;
};

// Puts the new keys and values (sequences, key heads, dim) behind the others. Grid: key heads, sequences.
template <class T> __device__ void append(const Sequence *all, const T *k, const T *v, unsigned dim) {
    Sequence of = all[blockIdx.y];
    size_t from = ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * dim;
    size_t to = ((size_t)blockIdx.x * of.room + of.filled - 1) * dim;
    for (unsigned d = threadIdx.x; d < dim; d += blockDim.x) {
        ((T *)of.keys)[to + d] = k[from + d];
        ((T *)of.values)[to + d] = v[from + d];
    }
}

// Warps of a block; each takes a key in turn, and its lanes up to EACH numbers of a head.
#define WARPS 4
#define WIDEST 256

// Grid: query heads, sequences; `group` query heads share a key head; `window` keys are seen or (0) all.
template <class T, int EACH>
__device__ void attend(const Sequence *all, const T *q, T *out, unsigned group, unsigned dim, unsigned window,
                       float scale) {
    __shared__ float mosts[WARPS], sums[WARPS], parts[WARPS * WIDEST];
    Sequence of = all[blockIdx.y];
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    size_t row = ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * dim;
    size_t head = (size_t)(blockIdx.x / group) * of.room * dim;
    const T *keys = (const T *)of.keys + head, *values = (const T *)of.values + head;
    float own[EACH], mix[EACH], most = -INFINITY, sum = 0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        unsigned d = lane + 32 * e;
        own[e] = d < dim ? load(q[row + d]) : 0.0f;
        mix[e] = 0;
    }
    unsigned first = window > 0 && of.filled > window ? of.filled - window : 0;
    for (unsigned base = first; base < of.filled; base += WARPS) {
        unsigned j = base + warp;
        bool is = j < of.filled;
        float score = 0;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            unsigned d = lane + 32 * e;
            if (is && d < dim) score += own[e] * load(keys[(size_t)j * dim + d]);
        }
        for (int far = 16; far > 0; far /= 2) score += __shfl_xor_sync(~0u, score, far);
        if (!is) continue;
        score *= scale;
        float next = score > most ? score : most, before = expf(most - next), now = expf(score - next);
        most = next;
        sum = sum * before + now;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            unsigned d = lane + 32 * e;
            if (d < dim) mix[e] = mix[e] * before + now * load(values[(size_t)j * dim + d]);
        }
    }
    if (lane == 0) {
        mosts[warp] = most;
        sums[warp] = sum;
    }
#pragma unroll
    for (int e = 0; e < EACH; e++) parts[warp * WIDEST + lane + 32 * e] = mix[e];
    __syncthreads();
    float all_most = -INFINITY, all_sum = 0;
    for (unsigned w = 0; w < WARPS; w++) all_most = mosts[w] > all_most ? mosts[w] : all_most;
    for (unsigned w = 0; w < WARPS; w++) all_sum += sums[w] * expf(mosts[w] - all_most);
    for (unsigned d = threadIdx.x; d < dim; d += blockDim.x) {
        float value = 0;
        for (unsigned w = 0; w < WARPS; w++) value += parts[w * WIDEST + d] * expf(mosts[w] - all_most);
        store(&out[row + d], value / all_sum);
    }
}

#define ATTEND(T, EACH)                                                                                                \
    extern "C" __global__ void __launch_bounds__(256) attend_##EACH##_##T(const Sequence *all, const T *q, T *out, unsigned group, \
                                                   unsigned dim, unsigned window, float scale) {                       \
        attend<T, EACH>(all, q, out, group, dim, window, scale);                                                       \
    }
#define FOR(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) append_##T(const Sequence *all, const T *k, const T *v, unsigned dim) { \
        append<T>(all, k, v, dim);                                                                                     \
    }                                                                                                                  \
    ATTEND(T, 1)                                                                                                       \
    ATTEND(T, 2)                                                                                                       \
    ATTEND(T, 4)                                                                                                       \
    ATTEND(T, 8)

FOR(float)
FOR(bf16)
#undef FOR
