// CUDA's words for g++: a kernel runs on one CPU thread, block after block.
//
// The threads of a block are fibers: each runs on a stack of its own until it comes to
// __syncthreads() or to its end, and then the next has its turn. That is one legal order of events
// on a GPU; the reverse is another, and a kernel whose result depends on it lacks a barrier.
// A barrier that some threads of a block reach and others do not is an error.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <math.h>
#include <setjmp.h>
#include <stdexcept>
#include <tuple>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct Uint3 {
    unsigned x, y, z;
};
static Uint3 threadIdx, blockIdx, blockDim, gridDim;

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline double sinpi(double x) { return sin(M_PI * x); }
inline double cospi(double x) { return cos(M_PI * x); }

namespace shim {

constexpr unsigned MOST_THREADS = 1024;
constexpr size_t STACK = (64 << 10) + 320;  // not a power of two, or all tops share a cache line
enum State { WAITING, DONE };
enum Fault { NONE, DIVERGED, IRREGULAR };

struct Fiber {
    ucontext_t start;
    jmp_buf here;
    State state;
    bool running;  // has a stack with a loop on it
};

static Fiber fibers[MOST_THREADS];
static char* stacks;
static jmp_buf scheduler;
static void (*body)(void*);  // what one CUDA thread does
static void* argument;
static bool direct, reverse;

inline void pause(State state)
{
    Fiber& fiber = fibers[threadIdx.x];
    fiber.state = state;
    if (!_setjmp(fiber.here)) _longjmp(scheduler, 1);
}

inline void live()
{
    for (;;) {
        body(argument);
        pause(DONE);
    }
}

inline void resume(unsigned t)
{
    Fiber& fiber = fibers[t];
    threadIdx.x = t;
    if (_setjmp(scheduler)) return;
    if (fiber.running) _longjmp(fiber.here, 1);
    fiber.running = true;
    if (!stacks) stacks = static_cast<char*>(malloc(STACK * MOST_THREADS));
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = stacks + STACK * t;
    fiber.start.uc_stack.ss_size = STACK;
    makecontext(&fiber.start, live, 0);
    setcontext(&fiber.start);
}

// Item i of n, counted from the other end if the order is reversed.
inline unsigned turn(unsigned i, unsigned n) { return reverse ? n - 1 - i : i; }

inline Fault run_block(unsigned threads, bool& barriers)
{
    for (;;) {
        unsigned done = 0;
        for (unsigned i = 0; i < threads; i++) {
            resume(turn(i, threads));
            done += fibers[threadIdx.x].state == DONE;
        }
        if (done == threads) return NONE;
        if (done) {
            for (Fiber& fiber : fibers) fiber.running = false;
            return DIVERGED;
        }
        barriers = true;
    }
}

// A kernel that met no barrier in its first block is run without fibers in the others.
inline Fault run_grid(unsigned threads)
{
    const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
    bool barriers = false;
    for (unsigned i = 0; i < blocks; i++) {
        const unsigned b = turn(i, blocks);
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        direct = i && !barriers;
        if (!direct) {
            const Fault fault = run_block(threads, barriers);
            if (fault) return fault;
            continue;
        }
        try {
            for (unsigned t = 0; t < threads; t++) threadIdx.x = turn(t, threads), body(argument);
        } catch (Fault fault) {
            return fault;
        }
    }
    return NONE;
}

template <class... P, size_t... i>
int launch(void (*kernel)(P...), const unsigned* grid, unsigned threads, void** parameters,
           std::index_sequence<i...>)
{
    auto call = [&] { kernel(*static_cast<std::remove_cv_t<P>*>(parameters[i])...); };
    body = [](void* it) { (*static_cast<decltype(call)*>(it))(); };
    argument = &call;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads, 1, 1};
    return run_grid(threads);
}

template <class... P>
int launch(void (*kernel)(P...), const unsigned* grid, unsigned threads, void** parameters)
{
    return launch(kernel, grid, threads, parameters, std::index_sequence_for<P...>());
}

}  // namespace shim

inline void __syncthreads()
{
    if (shim::direct) throw shim::IRREGULAR;
    shim::pause(shim::WAITING);
}

extern "C" void shim_reverse(int reverse) { shim::reverse = reverse; }

#define SHIM_ENTRY(kernel)                                                                      \
    extern "C" int shim_##kernel(const unsigned* grid, unsigned threads, void** parameters)     \
    {                                                                                           \
        return shim::launch(kernel, grid, threads, parameters);                                 \
    }
