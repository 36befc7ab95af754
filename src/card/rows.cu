// Kernels of which a block works on one row: norms, softmax, cross-entropy.
#include "common.cuh"

// y = x · w / sqrt(mean x² + eps), for rows of `width`.
template <class T>
__device__ void rms_norm(const T *x, const T *w, T *y, unsigned width, float eps) {
    x += (size_t)blockIdx.x * width;
    y += (size_t)blockIdx.x * width;
    float square = 0;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        float v = load(x[i]);
        square += v * v;
    }
    float r = 1.0f / sqrtf(total(square) / width + eps);
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) store(&y[i], load(x[i]) * r * load(w[i]));
}

// dx = w·dy·r − x · mean(x·w·dy) · r³.
template <class T>
__device__ void rms_norm_backward(const T *x, const T *w, const T *dy, T *dx, unsigned width, float eps) {
    size_t first = (size_t)blockIdx.x * width;
    x += first, dy += first, dx += first;
    float square = 0, along = 0;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        float v = load(x[i]);
        square += v * v;
        along += v * load(w[i]) * load(dy[i]);
    }
    float r = 1.0f / sqrtf(total(square) / width + eps);
    float c = total(along) * r * r * r / width;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        store(&dx[i], load(w[i]) * load(dy[i]) * r - load(x[i]) * c);
    }
}

// Goes through the numbers `from` to `to` of a row with all threads of a block: `four` of those that lie at once, `one` of the
// others. A row need not begin where four do.
template <class T, class One, class Whole>
__device__ __forceinline__ void along(const T *row, unsigned from, unsigned to, One one, Whole four) {
    // Places are counted from the last one at or before the row's begin where four lie at once.
    unsigned skew = (size_t)row / sizeof(T) % 4;
    from += skew, to += skew;
    for (unsigned i = from / 4 + threadIdx.x; 4 * i < to; i += blockDim.x) {
        if (from <= 4 * i && 4 * i + 4 <= to) {
            four(4 * i - skew);
        } else {
            unsigned first = 4 * i < from ? from : 4 * i, last = 4 * i + 4 < to ? 4 * i + 4 : to;
            for (unsigned j = first; j < last; j++) one(j - skew);
        }
    }
}

// Softmax of scale · scores over the keys that a query sees, in place: `queries` from `query` on, one after another for every
// head, over `width` keys from `key` on, `window` back or (0) all. What is not seen gets 0.
template <class T>
__device__ void causal_softmax(T *scores, unsigned width, unsigned queries, unsigned query, unsigned key, unsigned window,
                               float scale) {
    scores += (size_t)blockIdx.x * width;
    unsigned i = query + blockIdx.x % queries;
    unsigned from = window > 0 && i + 1 > window ? i + 1 - window : 0;
    from = from > key ? from - key : 0;
    unsigned to = i + 1 - key;
    float most = -INFINITY, sum = 0;
    auto meet = [&](T score) {
        float s = load(score);
        if (s > most) {
            sum = sum * expf((most - s) * scale) + 1.0f;
            most = s;
        } else if (s != -INFINITY) {
            sum += expf((s - most) * scale);
        }
    };
    along(
        scores, from, to, [&](unsigned j) { meet(scores[j]); },
        [&](unsigned j) {
            Four<T> s = *(const Four<T> *)&scores[j];
            for (int k = 0; k < 4; k++) meet(s.at[k]);
        });
    float all = largest(most);
    // A thread without a key has a sum of 0; its maximum of −∞ must not be put against one of −∞.
    float inverse = 1.0f / total(sum == 0 ? 0.0f : sum * expf((most - all) * scale));
    auto weigh = [&](unsigned j, T *score) {
        bool seen = from <= j && j < to;
        store(score, seen ? expf((load(*score) - all) * scale) * inverse : 0.0f);
    };
    along(
        scores, 0, width, [&](unsigned j) { weigh(j, &scores[j]); },
        [&](unsigned j) {
            Four<T> s = *(const Four<T> *)&scores[j];
            for (int k = 0; k < 4; k++) weigh(j + k, &s.at[k]);
            *(Four<T> *)&scores[j] = s;
        });
}

// ds = scale · p · (dp − Σ dp·p), over dp.
template <class T> __device__ void softmax_backward(T *dp, const T *p, unsigned width, float scale) {
    dp += (size_t)blockIdx.x * width;
    p += (size_t)blockIdx.x * width;
    // Whether both rows begin at the same place of four; else p's numbers are taken one by one.
    bool together = (size_t)p % sizeof(Four<T>) == (size_t)dp % sizeof(Four<T>);
    auto four_of_p = [&](unsigned j) {
        Four<T> four;
        if (together) {
            four = *(const Four<T> *)&p[j];
        } else {
            for (int k = 0; k < 4; k++) four.at[k] = p[j + k];
        }
        return four;
    };
    float dot = 0;
    along(
        dp, 0, width, [&](unsigned j) { dot += load(dp[j]) * load(p[j]); },
        [&](unsigned j) {
            Four<T> d = *(const Four<T> *)&dp[j], weights = four_of_p(j);
            for (int k = 0; k < 4; k++) dot += load(d.at[k]) * load(weights.at[k]);
        });
    dot = total(dot);
    auto back = [&](T *d, T weight) { store(d, (load(*d) - dot) * load(weight) * scale); };
    along(
        dp, 0, width, [&](unsigned j) { back(&dp[j], p[j]); },
        [&](unsigned j) {
            Four<T> d = *(const Four<T> *)&dp[j], weights = four_of_p(j);
            for (int k = 0; k < 4; k++) back(&d.at[k], weights.at[k]);
            *(Four<T> *)&dp[j] = d;
        });
}

// Loss of a row of logits against its target, in nats; with a scale other than 0 the gradient of scale · loss takes the
// logits' place.
template <class T>
__device__ void cross_entropy(T *logits, const unsigned *targets, float *losses, unsigned width, float scale) {
    logits += (size_t)blockIdx.x * width;
    unsigned target = targets[blockIdx.x];
    float most = -INFINITY, sum = 0;
    for (unsigned j = threadIdx.x; j < width; j += blockDim.x) {
        float s = load(logits[j]);
        if (s > most) {
            sum = sum * expf(most - s) + 1.0f;
            most = s;
        } else if (s != -INFINITY) {
            sum += expf(s - most);
        }
    }
    float all = largest(most);
    sum = total(sum == 0 ? 0.0f : sum * expf(most - all));
    float own = load(logits[target]) - all;
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) - own;
    if (scale == 0) return;
    // Its own logit has been read by all before one writes over it.
    __syncthreads();
    float factor = scale / sum;
    for (unsigned j = threadIdx.x; j < width; j += blockDim.x) {
        store(&logits[j], expf(load(logits[j]) - all) * factor - (j == target ? scale : 0.0f));
    }
}

// Pieces of `width` numbers change places: out[j][i] = in[i][j] of (rows, columns, width). A block copies one.
template <class T> __device__ void swap_axes(const T *in, T *out, unsigned rows, unsigned columns, unsigned width) {
    unsigned i = blockIdx.x % rows, j = blockIdx.x / rows;
    in += ((size_t)i * columns + j) * width;
    out += (size_t)blockIdx.x * width;
    for (unsigned k = threadIdx.x; k < width; k += blockDim.x) out[k] = in[k];
}

#define FOR(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(512) rms_norm_##T(const T *x, const T *w, T *y, unsigned width, float eps) { \
        rms_norm<T>(x, w, y, width, eps);                                                                              \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) rms_norm_backward_##T(const T *x, const T *w, const T *dy, T *dx, unsigned width, \
                                                     float eps) {                                                      \
        rms_norm_backward<T>(x, w, dy, dx, width, eps);                                                                \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) causal_softmax_##T(T *scores, unsigned width, unsigned queries, unsigned query, \
                                                  unsigned key, unsigned window, float scale) {                        \
        causal_softmax<T>(scores, width, queries, query, key, window, scale);                                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) softmax_backward_##T(T *dp, const T *p, unsigned width, float scale) { \
        softmax_backward<T>(dp, p, width, scale);                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(1024) cross_entropy_##T(T *logits, const unsigned *targets, float *losses, unsigned width, \
                                                 float scale) {                                                        \
        cross_entropy<T>(logits, targets, losses, width, scale);                                                       \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) swap_axes_##T(const T *in, T *out, unsigned rows, unsigned columns, unsigned width) { \
        swap_axes<T>(in, out, rows, columns, width);                                                                   \
    }

FOR(float)
FOR(bf16)
#undef FOR
