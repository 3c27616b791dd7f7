// Just enough of CUDA for g++: one block after another, its threads as fibers that take turns at
// every barrier. Dynamic shared memory is allocated anew, to the byte, for each block and filled
// with NaN, so that a sanitizer sees what is read outside and a result shows what is read too
// early. The order in which threads take turns can be changed: a barrier that is missing shows as a
// result that depends on it. A barrier that only some threads reach ends the process.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads, blocks)
#define DYNAMIC_SHARED(name) float4 *const name = shim::shared_memory

struct dim3_ {
    int x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static dim3_ threadIdx, blockIdx, blockDim, gridDim;
using std::isnan;
using std::max;
using std::min;

namespace shim {

enum Order { forward, backward, shuffled };

static float4 *shared_memory;
static constexpr size_t stack_bytes = 64 * 1024;

struct Fiber {
    ucontext_t start;
    std::unique_ptr<char[]> stack{new char[stack_bytes]};
    void *place[5];
    dim3_ id;
    bool begun, done;
};

static ucontext_t main_start;
static void *main_place[5];
static Fiber *running;
static const std::function<void()> *body;

#ifdef SHIM_SWAPCONTEXT  // slower, and known to the sanitizers
static void leave() { swapcontext(&running->start, &main_start); }
static void enter(Fiber &fiber)
{
    running = &fiber;
    swapcontext(&main_start, &fiber.start);
}
#else
__attribute__((noinline)) static void leave()
{
    if (__builtin_setjmp(running->place) == 0) __builtin_longjmp(main_place, 1);
}
__attribute__((noinline)) static void enter(Fiber &fiber)
{
    running = &fiber;
    if (__builtin_setjmp(main_place) != 0) return;
    if (fiber.begun) __builtin_longjmp(fiber.place, 1);
    fiber.begun = true;
    setcontext(&fiber.start);
}
#endif

static void run_body()
{
    (*body)();
    running->done = true;
    for (;;) leave();
}

static void prepare(Fiber &fiber)
{
    fiber.begun = fiber.done = false;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = stack_bytes;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, run_body, 0);
}

static void run_block(std::vector<Fiber> &fibers, Order order, uint32_t &seed)
{
    const size_t count = fibers.size();
    std::vector<size_t> turns(count);
    for (size_t i = 0; i < count; ++i) turns[i] = order == backward ? count - 1 - i : i;
    for (Fiber &fiber : fibers) prepare(fiber);
    for (;;) {
        for (size_t i = count; order == shuffled && i > 1; --i) {
            seed = seed * 1664525u + 1013904223u;
            std::swap(turns[i - 1], turns[(seed >> 8) % i]);
        }
        size_t done = 0;
        for (size_t turn : turns) {
            threadIdx = fibers[turn].id;
            enter(fibers[turn]);
            done += fibers[turn].done;
        }
        if (done == count) return;
        if (done > 0) {
            fprintf(stderr, "shim: %zu of %zu threads did not reach a barrier\n", done, count);
            abort();
        }
    }
}

static void launch(dim3_ grid, dim3_ block, size_t shared_bytes, Order order,
                   const std::function<void()> &kernel)
{
    gridDim = grid;
    blockDim = block;
    body = &kernel;
    std::vector<Fiber> fibers(block.x * block.y * block.z);
    for (size_t i = 0; i < fibers.size(); ++i) {
        const int at = i;
        fibers[i].id = {at % block.x, at / block.x % block.y, at / (block.x * block.y)};
    }
    uint32_t seed = 1;
    for (int z = 0; z < grid.z; ++z)
        for (int y = 0; y < grid.y; ++y)
            for (int x = 0; x < grid.x; ++x) {
                std::unique_ptr<char, decltype(&free)> shared(nullptr, &free);
                if (shared_bytes > 0) {
                    void *memory = nullptr;
                    if (posix_memalign(&memory, 16, shared_bytes) != 0) abort();
                    shared.reset(static_cast<char *>(memory));
                    for (size_t i = 0; i + 4 <= shared_bytes; i += 4)
                        *reinterpret_cast<float *>(shared.get() + i) = NAN;
                }
                shared_memory = reinterpret_cast<float4 *>(shared.get());
                blockIdx = {x, y, z};
                run_block(fibers, order, seed);
            }
}

}  // namespace shim

#define __syncthreads shim::leave
