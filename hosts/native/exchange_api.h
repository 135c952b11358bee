int kx_abi(void);
int32_t kx_exchange(int control, int pid, uint32_t hook, uint32_t length, int32_t milliseconds, uint8_t *answer,
                    uint32_t capacity);
int32_t kx_wait(int control, int32_t milliseconds, uint8_t *answer, uint32_t capacity);
