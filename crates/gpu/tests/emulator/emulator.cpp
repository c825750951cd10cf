// The emulated card in a process of its own, told what to do on the standard input.
#include "machine.hpp"

static void take(void* into, size_t bytes) {
    if (bytes && fread(into, bytes, 1, stdin) != 1) exit(0);
}

static uint64_t number() {
    uint64_t value;
    take(&value, sizeof value);
    return value;
}

static void answer(const std::string& text) {
    uint64_t length = text.size();
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(text.data(), 1, length, stdout);
    fflush(stdout);
}

static std::string launch() {
    std::string name(number(), ' ');
    take(&name[0], name.size());
    Place grid{(unsigned)number(), (unsigned)number(), 1};
    std::string kinds(number(), ' ');
    take(&kinds[0], kinds.size());
    std::vector<uint64_t> slots(kinds.size());
    take(slots.data(), slots.size() * sizeof slots[0]);
    const Entry* entry = find_entry(name);
    if (!entry) return "no kernel " + name;
    if (entry->kinds() != kinds) return name + " takes " + entry->kinds() + ", not " + kinds;
    return run(*entry, grid, slots.data()) ? "" : "threads of " + name + " wait at different barriers";
}

int main() {
    for (;;) {
        switch (number()) {
            case 0: {
                // A card aligns what it allocates like this.
                void* made = aligned_alloc(256, number());
                uint64_t address = reinterpret_cast<uint64_t>(made);
                answer(std::string(reinterpret_cast<char*>(&address), sizeof address));
                break;
            }
            case 1: free(reinterpret_cast<void*>(number())); break;
            case 2: {
                void* at = reinterpret_cast<void*>(number());
                take(at, number());
                break;
            }
            case 3: {
                const char* at = reinterpret_cast<const char*>(number());
                answer(std::string(at, number()));
                break;
            }
            case 4: answer(launch()); break;
            default: return 1;
        }
    }
}
