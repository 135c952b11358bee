/* Without libFuzzer: mutate each file as long as the time lasts. Usage: TARGET SECONDS FILE... */
#include <time.h>

#define MAX_FILE (1u << 16)

static uint32_t choose(uint32_t *state, uint32_t below) {
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state % below;
}

int main(int argc, char **argv) {
    static uint8_t original[MAX_FILE], changed[MAX_FILE];
    uint32_t state = 2463534242u;
    unsigned long runs = 0;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    do {
        for (int i = 2; i < argc; i++) {
            FILE *file = fopen(argv[i], "rb");
            if (!file) return 2;
            size_t length = fread(original, 1, sizeof original, file);
            fclose(file);
            for (int round = 0; round < 50 && length; round++, runs++) {
                memcpy(changed, original, length);
                for (uint32_t n = choose(&state, 8); n > 0; n--) {
                    changed[choose(&state, (uint32_t)length)] = (uint8_t)choose(&state, 256);
                }
                LLVMFuzzerTestOneInput(changed, length - choose(&state, length > 40 ? 40 : 1));
            }
        }
    } while (time(NULL) < end && argc > 2);
    printf("%lu runs\n", runs);
    return 0;
}
