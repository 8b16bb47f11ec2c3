// The SDK in one import. A plugin re-exports wse_abi_v1 and wse_buffer and exports the hooks it has.
import * as json from "./json";
import * as writer from "./writer";
import * as host from "./host";
import * as ticks from "./ticks";

export { wse_abi_v1, wse_buffer, input, holds, data, error, errorCode, isError, textOf, NO, YES, ERROR_NO_BUFFER, INPUT_MAX } from "./abi";
export { batch } from "./batch";
export { alloc, SLACK } from "./arena";
export { Span, span, between, ptrOf, lenOf, same, begins, rest, hash, copy, append, keep, ascii, word, wordAt } from "./span";
export { json, writer, host, ticks };
