typedef struct { ...; } kf_item;
int kf_abi(void);
uint64_t kf_cut(const uint32_t *lengths, uint64_t count, uint64_t max_items, uint64_t max_bytes);
uint64_t kf_encode(uint32_t hook, const kf_item *items, const uint64_t *starts, uint64_t count, const uint8_t *data,
                   uint64_t data_bytes, uint8_t *out, uint64_t capacity);
int kf_check(const uint8_t *result, uint64_t bytes, const uint32_t *lengths, uint32_t items, const uint8_t *accepted,
             uint32_t types);
