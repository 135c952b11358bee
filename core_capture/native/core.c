/* The C core as one translation unit: the decoder's hot loop crosses the files, and needs no linker option to be
 * inlined. */
#include "records.c"
#include "store.c"
#include "flows.c"
#include "link.c"
#include "tunnels.c"
#include "network.c"
#include "fragments.c"
#include "decode.c"
#include "spans.c"
#include "streams.c"
