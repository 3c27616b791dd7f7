// Just enough of CUDA for g++: one block after another, its threads as fibers that take turns at
// every barrier. Dynamic shared memory is allocated anew, to the byte, for each block and filled
// with NaN, so that a sanitizer sees what is read outside and a result shows what is read too
// early. The order in which threads take turns can be changed: a barrier that is missing shows as a
// result that depends on it. A barrier that only some threads reach ends the process, and so do
// threads that wait at different ones.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

static inline uint32_t __float_as_uint(float x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// The hardware's guess is off by as much as one unit in the last place; so is this one, up or down
// as the argument falls. That of the root is not: with the compiler's own arithmetic, a few roots in
// 10^8 would be wrong, and the hardware's errors, for which they are right, cannot be had here.
static inline float reciprocal_guess(float x)
{
    const float value = 1.0f / x;
    const int direction = int(__float_as_uint(x) * 2654435761u >> 30) - 1;
    if (direction == 0 || std::isinf(value) || std::isnan(value)) return value;
    return std::nextafterf(value, direction > 0 ? INFINITY : -INFINITY);
}
static inline float root_reciprocal_guess(float x)
{
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}

template <typename Value>
static inline Value afresh(Value value)
{
    return value;
}

namespace shim {

enum Order { forward, backward, shuffled };

static float4 *shared_memory;
static constexpr size_t stack_bytes = 64 * 1024;

#ifdef __x86_64__
// Put the present stack away and go on with another one; some fifty times as fast as swapcontext.
extern "C" void shim_change_stack(void **away, void *other);
asm(R"(
.local shim_change_stack
.type shim_change_stack, @function
shim_change_stack:
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

struct Context {
    void *top;
    void start(char *stack, void (*function)())
    {
        void **place = reinterpret_cast<void **>(stack + stack_bytes) - 2;
        *place = reinterpret_cast<void *>(function);  // where the first change returns to
        top = place - 6;                              // six registers of no meaning
    }
    void change_to(Context &other) { shim_change_stack(&top, other.top); }
};
#else
struct Context {
    ucontext_t all;
    void start(char *stack, void (*function)())
    {
        getcontext(&all);
        all.uc_stack.ss_sp = stack;
        all.uc_stack.ss_size = stack_bytes;
        all.uc_link = nullptr;
        makecontext(&all, function, 0);
    }
    void change_to(Context &other) { swapcontext(&all, &other.all); }
};
#endif

struct alignas(16) Stack {
    char bytes[stack_bytes];
};

struct Fiber {
    Context context;
    std::unique_ptr<Stack> stack{new Stack};
    dim3_ id;
    bool done;
    int barrier;  // line of the one it waits at
};

static Context scheduler;
static Fiber *running;
static const std::function<void()> *body;

static void leave() { running->context.change_to(scheduler); }

static void wait_at(int line)
{
    running->barrier = line;
    leave();
}

static void run_body()
{
    (*body)();
    running->done = true;
    for (;;) leave();
}

static void run_block(std::vector<Fiber> &fibers, Order order, uint32_t &seed)
{
    const size_t count = fibers.size();
    std::vector<size_t> turns(count);
    for (size_t i = 0; i < count; ++i) turns[i] = order == backward ? count - 1 - i : i;
    for (Fiber &fiber : fibers) {
        fiber.done = false;
        fiber.context.start(fiber.stack->bytes, run_body);
    }
    for (;;) {
        for (size_t i = count; order == shuffled && i > 1; --i) {
            seed = seed * 1664525u + 1013904223u;
            std::swap(turns[i - 1], turns[(seed >> 8) % i]);
        }
        size_t done = 0;
        for (size_t turn : turns) {
            running = &fibers[turn];
            threadIdx = running->id;
            scheduler.change_to(running->context);
            done += fibers[turn].done;
        }
        if (done == count) return;
        if (done > 0) {
            fprintf(stderr, "shim: %zu of %zu threads did not reach a barrier\n", done, count);
            abort();
        }
        for (const Fiber &fiber : fibers)
            if (fiber.barrier != fibers[0].barrier) {
                fprintf(stderr, "shim: threads wait at the barriers of lines %d and %d\n",
                        fibers[0].barrier, fiber.barrier);
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

#define __syncthreads() shim::wait_at(__LINE__)
