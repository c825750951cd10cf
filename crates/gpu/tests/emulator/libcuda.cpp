// The emulated card behind the interface of the NVIDIA driver, so that the code that talks to a driver is run too. As little of
// it as that code calls. Work of a stream is done when somebody waits for it, as late as a real card might. STUB_CUDA_FAIL, as
// `NAME:NTH:CODE`, makes the nth call of a function fail; code 700 then stays until the context is given back.
#include "machine.hpp"

#include <deque>
#include <functional>
#include <map>
#include <mutex>

typedef int Result;
enum { SUCCESS = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700 };

struct Stream {
    std::deque<std::function<Result()>> work;
    uint64_t begun = 0, done = 0;
};
struct Event {
    Stream* stream = nullptr;
    uint64_t after = 0;
};
struct Module {
    std::string code;
};

static std::recursive_mutex lock;
static std::map<uint64_t, size_t> card_memory, host_memory;
static std::map<std::string, long> calls;
static int contexts = 0;
static Result poison = SUCCESS;

static Result enter(const char* name) {
    if (poison) return poison;
    std::string plan = getenv("STUB_CUDA_FAIL") ? getenv("STUB_CUDA_FAIL") : "";
    size_t first = plan.find(':'), second = plan.find(':', first + 1);
    if (second == std::string::npos || plan.substr(0, first) != name) return SUCCESS;
    if (++calls[name] != atol(plan.c_str() + first + 1)) return SUCCESS;
    Result code = atoi(plan.c_str() + second + 1);
    if (code == ILLEGAL_ADDRESS) poison = code;
    return code;
}

static bool inside(const std::map<uint64_t, size_t>& memory, uint64_t at, size_t bytes) {
    auto next = memory.upper_bound(at);
    if (next == memory.begin()) return false;
    auto [start, size] = *--next;
    return at + bytes <= start + size;
}

static void begin(Stream* stream, std::function<Result()> work) {
    stream->work.push_back(std::move(work));
    stream->begun += 1;
}

static Result do_one(Stream* stream) {
    auto work = std::move(stream->work.front());
    stream->work.pop_front();
    stream->done += 1;
    Result result = work();
    if (result) poison = result;
    return poison;
}

static Result finish(Stream* stream, uint64_t upto) {
    while (stream && stream->done < upto) {
        if (Result result = do_one(stream)) return result;
    }
    return poison;
}

#define CALL(name, ...)                                      \
    extern "C" Result name(__VA_ARGS__) {                    \
        std::lock_guard<std::recursive_mutex> held(lock);    \
        if (Result failed = enter(#name)) return failed;
#define END }

CALL(cuInit, unsigned) return SUCCESS; END
CALL(cuDriverGetVersion, int* version) *version = 13000; return SUCCESS; END
CALL(cuDeviceGetCount, int* count) *count = 1; return SUCCESS; END
CALL(cuDeviceGet, int* device, int ordinal) *device = ordinal; return ordinal ? INVALID : SUCCESS; END
CALL(cuDeviceGetName, char* name, int length, int) snprintf(name, length, "Stub card"); return SUCCESS; END
CALL(cuDeviceTotalMem_v2, size_t* bytes, int) *bytes = 8ull << 30; return SUCCESS; END
CALL(cuDeviceGetAttribute, int* value, int attribute, int)
    *value = attribute == 75 ? 9 : attribute == 115 ? 1 : 0;
    return SUCCESS;
END
CALL(cuDevicePrimaryCtxRetain, void** context, int)
    contexts += 1;
    *context = &contexts;
    return SUCCESS;
END
extern "C" Result cuDevicePrimaryCtxRelease_v2(int) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (--contexts == 0) poison = SUCCESS;
    return SUCCESS;
}
CALL(cuCtxSetCurrent, void*) return SUCCESS; END
CALL(cuCtxGetCurrent, void** context) *context = contexts ? &contexts : nullptr; return SUCCESS; END
CALL(cuCtxSynchronize) return SUCCESS; END
CALL(cuMemGetInfo_v2, size_t* free, size_t* total) *free = *total = 8ull << 30; return SUCCESS; END

CALL(cuModuleLoadData, Module** module, const char* image)
    if (!strstr(image, ".version 9.0") || !strstr(image, ".target sm_80")) return INVALID;
    *module = new Module{image};
    return SUCCESS;
END
CALL(cuModuleGetFunction, const Entry** function, Module* module, const char* name)
    *function = find_entry(name);
    bool there = module->code.find(".entry " + std::string(name) + "(") != std::string::npos;
    return *function && there ? SUCCESS : NOT_FOUND;
END
CALL(cuModuleUnload, Module* module) delete module; return SUCCESS; END

CALL(cuStreamCreate, Stream** stream, unsigned) *stream = new Stream; return SUCCESS; END
CALL(cuStreamDestroy_v2, Stream* stream)
    finish(stream, stream->begun);
    delete stream;
    return SUCCESS;
END
CALL(cuStreamSynchronize, Stream* stream) return finish(stream, stream->begun); END
CALL(cuStreamWaitEvent, Stream* stream, Event* event, unsigned)
    return event->stream == stream ? SUCCESS : finish(event->stream, event->after);
END
CALL(cuEventCreate, Event** event, unsigned) *event = new Event; return SUCCESS; END
CALL(cuEventDestroy_v2, Event* event) delete event; return SUCCESS; END
CALL(cuEventRecord, Event* event, Stream* stream) *event = {stream, stream->begun}; return SUCCESS; END
CALL(cuEventSynchronize, Event* event) return finish(event->stream, event->after); END
CALL(cuEventQuery, Event* event)
    if (!event->stream || event->stream->done >= event->after) return SUCCESS;
    if (Result result = do_one(event->stream)) return result;
    return NOT_READY;
END

CALL(cuMemAllocAsync, uint64_t* at, size_t bytes, Stream*)
    *at = reinterpret_cast<uint64_t>(aligned_alloc(512, (bytes + 511) / 512 * 512));
    card_memory[*at] = bytes;
    return SUCCESS;
END
CALL(cuMemFreeAsync, uint64_t at, Stream* stream)
    finish(stream, stream->begun);
    card_memory.erase(at);
    free(reinterpret_cast<void*>(at));
    return SUCCESS;
END
CALL(cuMemHostAlloc, void** at, size_t bytes, unsigned)
    *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    host_memory[reinterpret_cast<uint64_t>(*at)] = bytes;
    return SUCCESS;
END
CALL(cuMemFreeHost, void* at)
    host_memory.erase(reinterpret_cast<uint64_t>(at));
    free(at);
    return SUCCESS;
END
CALL(cuMemsetD8Async, uint64_t at, unsigned char value, size_t bytes, Stream* stream)
    if (!inside(card_memory, at, bytes)) return INVALID;
    begin(stream, [=] { memset(reinterpret_cast<void*>(at), value, bytes); return SUCCESS; });
    return SUCCESS;
END
// Memory of this side must be pinned: a card copies other memory at once, which hides mistakes.
CALL(cuMemcpyHtoDAsync_v2, uint64_t to, const void* from, size_t bytes, Stream* stream)
    if (!inside(card_memory, to, bytes) || !inside(host_memory, (uint64_t)from, bytes)) return INVALID;
    begin(stream, [=] { memcpy((void*)to, from, bytes); return SUCCESS; });
    return SUCCESS;
END
CALL(cuMemcpyDtoHAsync_v2, void* to, uint64_t from, size_t bytes, Stream* stream)
    if (!inside(card_memory, from, bytes) || !inside(host_memory, (uint64_t)to, bytes)) return INVALID;
    begin(stream, [=] { memcpy(to, (void*)from, bytes); return SUCCESS; });
    return SUCCESS;
END

CALL(cuLaunchKernel, const Entry* entry, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned b, unsigned c,
     unsigned shared, Stream* stream, void** parameters, void** extra)
    if (!x || !y || z != 1 || threads != WIDTH || b != 1 || c != 1 || shared || extra) return INVALID;
    std::vector<uint64_t> slots;
    for (char kind : entry->kinds()) {
        uint64_t slot = 0;
        memcpy(&slot, parameters[slots.size()], kind == 'i' ? 4 : 8);
        if (kind == 'p' && !inside(card_memory, slot, 0)) return INVALID;
        slots.push_back(slot);
    }
    begin(stream, [=] { return run(*entry, Place{x, y, 1}, slots.data()) ? SUCCESS : ILLEGAL_ADDRESS; });
    return SUCCESS;
END

extern "C" Result cuGetErrorString(Result code, const char** text) {
    *text = code == ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
            : code == OUT_OF_MEMORY ? "out of memory"
                                    : "invalid argument";
    return SUCCESS;
}
extern "C" Result cuGetErrorName(Result, const char** text) {
    *text = "CUDA_ERROR_STUB";
    return SUCCESS;
}
