// Package abi is the contract between the engine and its plugins, version 1: export and import names, and the packed
// result of a hook. Host and test kit import it; sdk/ABI.md is the same contract in words.
package abi

// Version is the ABI's major version. It is part of an export's name, so that it is checked before guest code runs.
const Version = 1

// Exports of a plugin module. Memory and ExportABI must be there, and at least one hook.
const (
	ExportMemory         = "memory"
	ExportABI            = "wse_abi_v1"    // () -> i32: bit set of minor features
	ExportBuffer         = "wse_buffer"    // (cap i32) -> i32: input buffer of at least cap bytes, 0 refuses
	ExportConfigure      = "wse_configure" // (len i32) -> i64
	ExportTransform      = "wse_transform" // (len i32) -> i64
	ExportTransformBatch = "wse_transform_batch"
	ExportValidate       = "wse_validate"
	ExportAuthorize      = "wse_authorize"
	ExportStrategyOpen   = "wse_strategy_open"
	ExportStrategyTicks  = "wse_strategy_ticks"
	ExportStrategyUpdate = "wse_strategy_update"
	ExportInitialize     = "_initialize" // () -> (): called once
)

// Imports offered to a plugin. Anything else refuses the module.
const (
	ModuleWSE    = "wse"
	ImportLog    = "log"    // (level, ptr, len i32)
	ImportMetric = "metric" // (ptr, len i32, value f64)
	ModuleEnv    = "env"
	ImportAbort  = "abort" // (message, file, line, column i32), as AssemblyScript declares it
	ModuleWASI   = "wasi_snapshot_preview1"
)

// BufferBytes is the input buffer a host asks for when it makes an instance.
const BufferBytes = 64 << 10

// Kind is what a packed result says.
type Kind uint8

// The kinds of result. No is zero: a half-written plugin drops and denies.
const (
	No        Kind = iota // drop, deny, invalid, nothing
	Yes                   // transform: not mine; authorize: allow; validate: valid; configure: ready
	Data                  // an answer of Len bytes at Ptr
	ErrorText             // an error text of Len bytes at Ptr
	ErrorCode             // an error number
	Violation             // no result of this ABI
)

// Result is a hook's answer, unpacked.
type Result struct {
	Kind     Kind
	Ptr, Len uint32 // with Data and ErrorText
	Code     uint32 // with ErrorCode
}

const errorBit = 1 << 63

// Unpack reads a hook's i64: 0 No · 1 Yes · ptr<<32|len Data · 1<<63|ptr<<32|len ErrorText · 1<<63|code ErrorCode, where
// ptr is never 0 and below 2^31. Whether Ptr and Len lie inside the memory is for the host to check.
func Unpack(v uint64) Result {
	ptr, low := uint32(v>>32)&^(1<<31), uint32(v)
	switch {
	case v&errorBit != 0 && ptr != 0:
		return Result{Kind: ErrorText, Ptr: ptr, Len: low}
	case v&errorBit != 0:
		return Result{Kind: ErrorCode, Code: low}
	case ptr != 0:
		return Result{Kind: Data, Ptr: ptr, Len: low}
	case low <= 1:
		return Result{Kind: Kind(low)}
	default:
		return Result{Kind: Violation}
	}
}

// String names the kind as logs and tools print it.
func (k Kind) String() string {
	return [...]string{"no", "yes", "data", "error", "error code", "abi violation"}[k]
}
