// Threads that share the work of a loop.
//
// The loop's pieces are taken by ticket, one after the other, by whoever is free: the thread that
// asks, and helpers that wait for it. Who asks never waits for a helper to come, only for pieces
// that one has taken. So beside a busy process, with no processor left for helpers, a loop takes
// what it takes on one thread. A piece is the same work whoever does it, and so are its bits.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include <pthread.h>
#include <sched.h>

namespace npvae {

typedef long long Index;  // sizes and what is computed from them
typedef unsigned long long u64;

// The share of a kernel's work that one call of it does: part ``index`` of ``count``.
struct Part {
    Index index = 0, count = 1;
    Index first_row(Index n) const { return n * index / count; }
    Index last_row(Index n) const { return n * (index + 1) / count; }
    // Of elements side by side: cut at whole cache lines, whatever the dtype.
    Index first(Index n) const { return first_row((n + LINE - 1) / LINE) * LINE; }
    Index last(Index n) const
    {
        const Index cut = last_row((n + LINE - 1) / LINE) * LINE;
        return cut < n ? cut : n;
    }
    static constexpr Index LINE = 64;
};
inline thread_local Part this_part;

class Pool {
public:
    // work(p) for each p < n, on several threads if they are free. Helpers that sleep are left
    // alone, unless the loop is so ``long_`` that it lasts until they are awake.
    template <class Work> static void each(Index n, bool long_, const Work& work)
    {
        Pool* pool = n > 1 && n < MOST_PIECES && !sharing ? instance() : nullptr;
        if (!pool || !pool->busy.try_lock()) {
            for (Index p = 0; p < n; p++) work(p);
            return;
        }
        sharing = true;  // a loop inside is this thread's alone
        pool->share(int(n), long_,
                    [](const void* w, Index p) { (*static_cast<const Work*>(w))(p); }, &work);
        sharing = false;
        const bool no_room = pool->no_room.exchange(false);
        pool->busy.unlock();
        if (no_room) throw std::bad_alloc();
    }

    // How many threads work at a time, this one included; the first call that asks for more than
    // one starts them.
    static std::atomic<int> threads;
    // Above 0 while those who call have threads of their own, and each stays on its own.
    static std::atomic<int> alone;

private:
    typedef void (*Do)(const void*, Index);
    static constexpr int MOST = 16;                 // threads, for loops of some 10 µs
    static constexpr auto SPIN = std::chrono::microseconds(60);  // then a helper sleeps
    static constexpr u64 PIECES = 16;               // bits of a ticket for the next piece, and for n
    static constexpr Index MOST_PIECES = 1 << PIECES;

    std::mutex busy, sleep;
    std::condition_variable woken;
    std::atomic<int> sleepers{0}, done{0};
    std::atomic<bool> no_room{false};  // a piece found no memory
    std::atomic<u64> ticket{0};  // loop number | n | next piece
    u64 loops = 0;
    Do what = nullptr;
    const void* with = nullptr;
    int helpers = 0;

    static std::atomic<Pool*> one;
    static inline thread_local bool sharing = false;

    // The pool of this process: threads do not live on in a fork, so a child makes its own.
    static Pool* instance()
    {
        const int wanted = threads.load(std::memory_order_relaxed);
        if (wanted < 2 || alone.load(std::memory_order_relaxed) > 0) return nullptr;
        Pool* pool = one.load(std::memory_order_acquire);
        if (!pool) {
            static std::mutex making;
            std::unique_lock<std::mutex> lock(making, std::try_to_lock);
            if (!lock) return nullptr;  // another thread is at it
            pool = one.load(std::memory_order_acquire);
            if (pool) return pool;
            static const int at_fork = pthread_atfork(nullptr, nullptr, [] { one = nullptr; });
            (void)at_fork;
            pool = new Pool;  // for good: its threads may outlive main
            for (int i = 1; i < wanted && i < MOST; i++) {
                try {
                    std::thread([pool] { pool->help(); }).detach();
                } catch (const std::system_error&) {
                    break;  // no more threads for this process
                }
                pool->helpers++;
            }
            one.store(pool, std::memory_order_release);
        }
        return pool;
    }

    static u64 next_of(u64 t) { return t & ((u64(1) << PIECES) - 1); }
    static u64 n_of(u64 t) { return t >> PIECES & ((u64(1) << PIECES) - 1); }

    // Do pieces until none is left.
    void take()
    {
        u64 t = ticket.load(std::memory_order_acquire);
        while (next_of(t) < n_of(t)) {
            if (!ticket.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel)) continue;
            try {
                what(with, Index(next_of(t)));  // not changed before this piece is done
            } catch (const std::bad_alloc&) {
                no_room.store(true);
            }
            done.fetch_add(1, std::memory_order_acq_rel);
            t = ticket.load(std::memory_order_acquire);
        }
    }

    void share(int n, bool wake, Do what_, const void* with_)
    {
        what = what_, with = with_;  // nobody reads them: all tickets of the loop before are taken
        done.store(0, std::memory_order_relaxed);
        ticket.store(++loops << 2 * PIECES | u64(n) << PIECES);  // before sleepers are counted
        if (wake && sleepers.load()) {
            std::lock_guard<std::mutex> lock(sleep);
            woken.notify_all();
        }
        take();
        for (int spins = 0; done.load(std::memory_order_acquire) < n; spins++) {
            if (spins < 4096) __builtin_ia32_pause();
            else sched_yield();  // a helper with a piece may be waiting for this processor
        }
    }

    void help()
    {
        for (;;) {
            take();
            const auto until = std::chrono::steady_clock::now() + SPIN;
            u64 t = ticket.load(std::memory_order_acquire);
            while (next_of(t) >= n_of(t) && std::chrono::steady_clock::now() < until) {
                for (int i = 0; i < 16; i++) __builtin_ia32_pause();
                t = ticket.load(std::memory_order_acquire);
            }
            if (next_of(t) < n_of(t)) continue;
            std::unique_lock<std::mutex> lock(sleep);
            sleepers++;
            woken.wait(lock, [this] {
                const u64 now = ticket.load();
                return next_of(now) < n_of(now);
            });
            sleepers--;
        }
    }
};
std::atomic<int> Pool::threads{1};
std::atomic<int> Pool::alone{0};
std::atomic<Pool*> Pool::one{nullptr};

}  // namespace npvae
