// TV-L1 of the profile "opencv4-cuda" on one CPU core, fused by rows: the compiled twin of
// ../cpu_kernels.py, and like it bit for bit the oracle (../reference.py).
//
// C++17 with the vector types of GCC and Clang, no library. Compiled with -ffp-contract=off and no
// fast-math flag, so each float operation below is the IEEE operation that is written, in that
// order; the compiler may only choose instructions. The numbers of the method come in as macros.
//
// One level (`State`): planes of (H + 2) rows; pixel (y, x) lies at (y + 1) * stride + LEFT + x.
// Right of the image one pixel of u repeats its last one. Rows are counted from 1.
//
// Why it is fast: one pass over a row does the primal step of that row and the dual step of the row
// above; up to DEPTH iterations follow each other row behind row (a wavefront) while their data is
// in the cache; and a pass is cut into three stages that work on neighbouring vectors, since one
// vector's chain of a division, a root and another division is longer than what a core looks ahead.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#ifdef __AVX__
#include <immintrin.h>
#endif

#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#endif

namespace {

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float Anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef double Doubles __attribute__((vector_size(8 * LANES)));
typedef double SumsAnywhere __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef float Pixel __attribute__((vector_size(16)));
typedef float PixelAnywhere __attribute__((vector_size(16), aligned(4), may_alias));

constexpr long LEFT = 16, MARGIN = 3, STAGGER = 112;
constexpr int DEPTH = 8, DATA_PLANES = 11;
constexpr float STEP = float(LAMBDA * THETA), TAUT = float(TAU / THETA), THETA_F = float(THETA);
constexpr float INFINITE = std::numeric_limits<float>::infinity();

inline Lanes load(const float *p) { return *reinterpret_cast<const Anywhere *>(p); }
inline void store(float *p, Lanes a) { *reinterpret_cast<Anywhere *>(p) = a; }
inline Lanes root(Lanes a)
{
#if LANES == 8 && defined(__AVX__)
    return Lanes(_mm256_sqrt_ps(__m256(a)));
#elif LANES == 16 && defined(__AVX512F__)
    return Lanes(_mm512_sqrt_ps(__m512(a)));
#else
    for (int i = 0; i < LANES; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}

struct State {
    float *u1, *u2, *p11, *p12, *p21, *p22, *ix, *iy, *bound, *divisor, *residual;
};

// Primal step of the row at `here` and dual step of the row above it, whichever is wanted.
// Without a primal step the row above is the last one of the image. MEASURED: the squared update
// of each pixel is added to its column.
template <bool PRIMAL, bool DUAL, bool MEASURED>
__attribute__((noinline)) void pass(const State &s, long here, long up, long count, double *columns)
{
    float *const u1 = s.u1 + here, *const u2 = s.u2 + here;
    float *const p11 = s.p11 + here, *const p12 = s.p12 + here;
    float *const p21 = s.p21 + here, *const p22 = s.p22 + here;
    const float *const ix = s.ix + here, *const iy = s.iy + here, *const bound = s.bound + here;
    const float *const divisor = s.divisor + here, *const residual = s.residual + here;
    Lanes rho{}, step{}, next_rho{}, next_step{};
    Lanes root1{}, root2{}, sum11{}, sum12{}, sum21{}, sum22{};

    const auto data_step = [&](long x) __attribute__((always_inline)) {
        if constexpr (PRIMAL) {
            const Lanes along = load(ix + x) * load(u1 + x) + load(iy + x) * load(u2 + x);
            next_rho = load(residual + x) + along;
            next_step = -next_rho / load(divisor + x);
        }
    };
    const auto advance = [&]() __attribute__((always_inline)) { rho = next_rho, step = next_step; };
    const auto update = [&](long x) __attribute__((always_inline)) {
        const Lanes above12 = load(p12 + x + up), above22 = load(p22 + x + up);
        Lanes new1{}, new2{};
        if constexpr (PRIMAL) {
            const Lanes most = load(bound + x), old1 = load(u1 + x), old2 = load(u2 + x);
            step = rho > most ? Lanes{} - STEP : step;
            step = -rho > most ? Lanes{} + STEP : step;
            const Lanes dp11 = load(p11 + x) - load(p11 + x - 1), dp12 = load(p12 + x) - above12;
            const Lanes dp21 = load(p21 + x) - load(p21 + x - 1), dp22 = load(p22 + x) - above22;
            new1 = (old1 + step * load(ix + x)) + THETA_F * (dp11 + dp12);
            new2 = (old2 + step * load(iy + x)) + THETA_F * (dp21 + dp22);
            store(u1 + x, new1);
            store(u2 + x, new2);
            if constexpr (MEASURED) {
                const Lanes by1 = old1 - new1, by2 = old2 - new2;
                auto *const sums = reinterpret_cast<SumsAnywhere *>(columns + x);
                *sums = *sums + __builtin_convertvector(by1 * by1 + by2 * by2, Doubles);
            }
        }
        if constexpr (DUAL) {
            const Lanes at1 = load(u1 + x + up), at2 = load(u2 + x + up);
            const Lanes dx1 = load(u1 + x + up + 1) - at1, dx2 = load(u2 + x + up + 1) - at2;
            const Lanes dy1 = PRIMAL ? new1 - at1 : Lanes{}, dy2 = PRIMAL ? new2 - at2 : Lanes{};
            root1 = root(dx1 * dx1 + dy1 * dy1);
            root2 = root(dx2 * dx2 + dy2 * dy2);
            sum11 = load(p11 + x + up) + TAUT * dx1;
            sum12 = above12 + TAUT * dy1;
            sum21 = load(p21 + x + up) + TAUT * dx2;
            sum22 = above22 + TAUT * dy2;
        }
    };
    const auto dual_step = [&](long x) __attribute__((always_inline)) {
        if constexpr (DUAL) {
            const Lanes norm1 = 1.0f + TAUT * root1, norm2 = 1.0f + TAUT * root2;
            store(p11 + x + up, sum11 / norm1);
            store(p12 + x + up, sum12 / norm1);
            store(p21 + x + up, sum21 / norm2);
            store(p22 + x + up, sum22 / norm2);
        }
    };
    data_step(0), advance(), update(0);
    data_step(LANES), advance();
    for (long x = 2 * LANES; x < count; x += LANES) {
        data_step(x);
        dual_step(x - 2 * LANES);
        update(x - LANES);
        advance();
    }
    dual_step(count - 2 * LANES);
    update(count - LANES);
    dual_step(count - LANES);
}

// Run `count` iterations and return the summed squared update of the last one: down each column,
// then over the columns.
double iterate(const State &s, double *columns, long height, long width, long stride, long padded,
               int count)
{
    std::fill(columns, columns + padded, 0.0);
    for (int remaining = count; remaining > 0;) {
        const int depth = std::min(remaining, DEPTH);
        for (long front = 1; front <= height + depth; front++) {
            const long end = std::min<long>(depth, front);
            for (long behind = std::max(0L, front - height - 1); behind < end; behind++) {
                const long row = front - behind, here = row * stride + LEFT;
                const bool last = remaining == depth && behind == depth - 1;
                const auto first_row = last ? pass<true, false, true> : pass<true, false, false>;
                const auto inner_row = last ? pass<true, true, true> : pass<true, true, false>;
                const auto row_pass = row == 1        ? first_row
                                      : row <= height ? inner_row
                                                      : pass<false, true, false>;
                row_pass(s, here, -stride, padded, columns);
                if (row > height) continue;
                s.u1[here + width] = s.u1[here + width - 1];
                s.u2[here + width] = s.u2[here + width - 1];
            }
        }
        remaining -= depth;
    }
    double total = 0.0;
    for (long x = 0; x < width; x++) total += columns[x];
    return total;
}

// How many iterations to run up to and with the next test; see `iterations_until_test` in Python.
int until_test(double error, double threshold)
{
    int count = 2;
    double expected = error - threshold;
    while (expected >= threshold && count < MAX_ITERATIONS) {
        expected -= threshold;
        expected -= threshold;
        count += 2;
    }
    return count;
}

inline float near(float t) { return t * t * (1.5f * t - 2.5f) + 1.0f; }
inline float far(float t) { return t * (t * (-0.5f * t + 2.5f) - 4.0f) + 2.0f; }

// Cell and four Catmull-Rom weights of each position `start + x * unit + u[x]`. Cells are limited
// to [-2, limit], beyond which the repeated border is constant; that of a NaN is -2.
__attribute__((noinline)) void taps(const float *__restrict u, float start, float unit, float limit,
                                    int count, int32_t *__restrict cells, float *__restrict weights)
{
    for (int x = 0; x < count; x++) {
        const float position = start + float(x) * unit + u[x];
        float cell = __builtin_floorf(position);
        weights[4 * x] = far(position - (cell - 1.0f));
        weights[4 * x + 1] = near(position - cell);
        weights[4 * x + 2] = near(cell + 1.0f - position);
        weights[4 * x + 3] = far(cell + 2.0f - position);
        cell = cell > -2.0f ? cell : -2.0f;
        cell = cell < limit ? cell : limit;
        cells[x] = int32_t(cell);
    }
}

// Weighted sums of 4x4 pixels of the texture, row by row from the upper left, no division.
__attribute__((noinline)) void sample(const float *texture, long pitch, const int32_t *cell_x,
                                      const int32_t *cell_y, const float *weight_x,
                                      const float *weight_y, int count, float *samples)
{
    const auto corner = [&](int x) {
        return texture + (cell_y[x] + MARGIN - 1) * pitch + (cell_x[x] + MARGIN - 1) * 4;
    };
    int x = 0;
#ifdef __AVX__
    const auto both = [](const float *a, const float *b) __attribute__((always_inline)) {
        return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
    };
    for (; x + 1 < count; x += 2) {  // two pixels at once
        const float *a = corner(x), *b = corner(x + 1);
        const __m256 across = both(weight_x + 4 * x, weight_x + 4 * x + 4);
        const __m256 down = both(weight_y + 4 * x, weight_y + 4 * x + 4);
        const __m256 downs[] = {_mm256_permute_ps(down, 0x00), _mm256_permute_ps(down, 0x55),
                                _mm256_permute_ps(down, 0xaa), _mm256_permute_ps(down, 0xff)};
        __m256 total = _mm256_setzero_ps();
        for (int j = 0; j < 4; j++, a += pitch, b += pitch) {
            const __m256 w = _mm256_mul_ps(across, downs[j]);
            const __m256 ws[] = {_mm256_permute_ps(w, 0x00), _mm256_permute_ps(w, 0x55),
                                 _mm256_permute_ps(w, 0xaa), _mm256_permute_ps(w, 0xff)};
            for (int i = 0; i < 4; i++)
                total = _mm256_add_ps(total, _mm256_mul_ps(ws[i], both(a + 4 * i, b + 4 * i)));
        }
        _mm256_storeu_ps(samples + 4 * x, total);
    }
#endif
    for (; x < count; x++) {
        const float *tap = corner(x), *across = weight_x + 4 * x, *down = weight_y + 4 * x;
        Pixel total{};
        for (int j = 0; j < 4; j++, tap += pitch)
            for (int i = 0; i < 4; i++) {
                const Pixel pixel = *reinterpret_cast<const PixelAnywhere *>(tap + 4 * i);
                total = total + (across[i] * down[j]) * pixel;
            }
        *reinterpret_cast<PixelAnywhere *>(samples + 4 * x) = total;
    }
}

// What an iteration needs of one row, from its samples.
__attribute__((noinline)) void finish(const float *__restrict samples, const float *__restrict u1,
                                      const float *__restrict u2, const float *__restrict image0,
                                      float *__restrict ix, float *__restrict iy,
                                      float *__restrict bound, float *__restrict divisor,
                                      float *__restrict residual, int count)
{
    for (int x = 0; x < count; x++) {
        const float scale = 1.0f / samples[4 * x + 3];
        const float gx = samples[4 * x] * scale, gy = samples[4 * x + 1] * scale;
        const float warped = samples[4 * x + 2] * scale, squared = gx * gx + gy * gy;
        ix[x] = gx;
        iy[x] = gy;
        bound[x] = STEP * squared;
        divisor[x] = squared > float(FLAT) ? squared : INFINITE;
        residual[x] = warped - gx * u1[x] - gy * u2[x] - image0[x];
    }
}

// Memory of one thread, kept for its next level: fresh pages cost as much as ten iterations.
struct Workspace {
    float *memory = nullptr;
    size_t floats = 0;
    ~Workspace() { std::free(memory); }
    float *at_least(size_t wanted)
    {
        if (floats < wanted) {
            std::free(memory);
            memory = static_cast<float *>(std::aligned_alloc(64, (wanted * 4 + 63) / 64 * 64));
            floats = memory ? wanted : 0;
        }
        return memory;
    }
};

}  // namespace

extern "C" {

// By which a thread's memory knows this library; start files, which are left out, would bring it.
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;

// Refine `flow` (2, H, W) in place on one pyramid level and fill in how many iterations each warp
// took. `texture` is from `kinetics_texture`. Returns 0, or 1 where there is no memory.
int kinetics_solve_level(const float *image0, const float *texture, float *flow,
                         int32_t *iterations, int height, int width)
{
    const long padded = std::max((width + LANES - 1) / LANES, 2) * long(LANES);
    const long stride = LEFT + (padded + 15) / 16 * 16 + 16, size = (height + 2) * stride + STAGGER;
    const long pitch = (width + 7) * 4L;
    const long floats = DATA_PLANES * size + padded * (2 + 2 + 3 * 4);
    static thread_local Workspace workspace;
    float *next = workspace.at_least(floats);
    if (!next) return 1;
    std::memset(next, 0, DATA_PLANES * size * 4);
    const auto plane = [&] { return std::exchange(next, next + size); };
    const State s{plane(), plane(), plane(), plane(), plane(), plane(),
                  plane(), plane(), plane(), plane(), plane()};
    double *const columns = reinterpret_cast<double *>(next);
    int32_t *const cell_x = reinterpret_cast<int32_t *>(next + 2 * padded);
    int32_t *const cell_y = cell_x + padded;
    float *const weight_x = next + 4 * padded, *const weight_y = weight_x + 4 * padded;
    float *const samples = weight_y + 4 * padded;
    const double threshold = EPSILON * EPSILON * height * width;
    for (long y = 0; y < height; y++) {
        const long here = (y + 1) * stride + LEFT;
        std::memcpy(s.u1 + here, flow + y * width, width * 4L);
        std::memcpy(s.u2 + here, flow + (height + y) * width, width * 4L);
        std::fill(s.divisor + here + width, s.divisor + here + padded, INFINITE);
    }
    for (int warp = 0; warp < WARPS; warp++) {
        for (long y = 0; y < height; y++) {
            const long here = (y + 1) * stride + LEFT;
            taps(s.u1 + here, 0.0f, 1.0f, float(width + 1), width, cell_x, weight_x);
            taps(s.u2 + here, float(y), 0.0f, float(height + 1), width, cell_y, weight_y);
            sample(texture, pitch, cell_x, cell_y, weight_x, weight_y, width, samples);
            finish(samples, s.u1 + here, s.u2 + here, image0 + y * width, s.ix + here, s.iy + here,
                   s.bound + here, s.divisor + here, s.residual + here, width);
        }
        int done = 0;
        for (int block = 2; done < MAX_ITERATIONS;) {  // the first test is after two iterations
            block = std::min(block, MAX_ITERATIONS - done);
            const double error = iterate(s, columns, height, width, stride, padded, block);
            done += block;
            if (!(error > threshold)) break;
            block = until_test(error, threshold);
        }
        iterations[warp] = done;
    }
    for (long y = 0; y < height; y++) {
        const long here = (y + 1) * stride + LEFT;
        std::memcpy(flow + y * width, s.u1 + here, width * 4L);
        std::memcpy(flow + (height + y) * width, s.u2 + here, width * 4L);
    }
    return 0;
}

// Fill `texture` (H + 7, (W + 7) * 4) with x gradient, y gradient, value and 1 of each pixel, with
// a repeated border: three pixels of margin above and left, four below and right.
void kinetics_texture(const float *image, float *texture, int height, int width)
{
    for (int row = 0; row < height + 7; row++) {
        const int y = std::min(std::max(row - int(MARGIN), 0), height - 1);
        const float *const at = image + long(y) * width;
        const float *const above = image + long(std::max(y - 1, 0)) * width;
        const float *const below = image + long(std::min(y + 1, height - 1)) * width;
        const auto pixel = [&](int x) {
            const float dx = at[std::min(x + 1, width - 1)] - at[std::max(x - 1, 0)];
            return Pixel{0.5f * dx, 0.5f * (below[x] - above[x]), at[x], 1.0f};
        };
        auto *out = reinterpret_cast<PixelAnywhere *>(texture + row * (width + 7) * 4L);
        for (int i = 0; i < MARGIN; i++) *out++ = pixel(0);
        for (int x = 0; x < width; x++) *out++ = pixel(x);
        for (int i = 0; i < 4; i++) *out++ = pixel(width - 1);
    }
}

// Fill `target` with `gain` times `source`, bilinear, pixel x read at x * ratio (no shift).
// Returns 0, or 1 where there is no memory.
int kinetics_resize(const float *source, int height, int width, float *target, int rows,
                    int columns, float ratio_y, float ratio_x, float gain)
{
    struct Across {
        int first, second;
        float left, right;
    };
    std::unique_ptr<Across[]> across(new (std::nothrow) Across[columns]);
    if (!across) return 1;
    for (int x = 0; x < columns; x++) {
        const float position = float(x) * ratio_x, floor = __builtin_floorf(position);
        across[x] = {std::min(int(floor), width - 1), std::min(int(floor) + 1, width - 1),
                     (floor + 1.0f) - position, position - floor};
    }
    for (int y = 0; y < rows; y++) {
        const float position = float(y) * ratio_y, floor = __builtin_floorf(position);
        const float down = position - floor, up = (floor + 1.0f) - position;
        const float *const line1 = source + long(std::min(int(floor), height - 1)) * width;
        const float *const line2 = source + long(std::min(int(floor) + 1, height - 1)) * width;
        float *const out = target + long(y) * columns;
        for (int x = 0; x < columns; x++) {
            const Across &at = across[x];
            float value = line1[at.first] * (at.left * up);
            value += line1[at.second] * (at.right * up);
            value += line2[at.first] * (at.left * down);
            value += line2[at.second] * (at.right * down);
            out[x] = value * gain;
        }
    }
    return 0;
}
}
