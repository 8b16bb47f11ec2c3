package plugin

import (
	"errors"
	"fmt"
)

// Errors that callers compare with.
var (
	// ErrClosed is returned by every call on a closed host.
	ErrClosed = errors.New("plugin: the host is closed")
	// ErrNone is returned by Validate and OpenStrategy when no plugin does that.
	ErrNone = errors.New("plugin: no plugin is configured for this")
)

// Step is a part of loading a plugin.
type Step string

// The steps in their order.
const (
	StepRead        Step = "read"
	StepDigest      Step = "digest"
	StepConfig      Step = "config"
	StepScan        Step = "scan"
	StepExports     Step = "exports"
	StepImports     Step = "imports"
	StepRewrite     Step = "rewrite"
	StepCompile     Step = "compile"
	StepInstantiate Step = "instantiate"
	StepInitialize  Step = "initialize"
	StepBuffer      Step = "buffer"
	StepConfigure   Step = "configure"
	StepVectors     Step = "vectors"
	StepKeep        Step = "keep"
)

// LoadError says which plugin could not be loaded, at which step, and why.
type LoadError struct {
	Plugin string
	Step   Step
	Err    error
}

// Error implements error.
func (e *LoadError) Error() string { return fmt.Sprintf("plugin/%s: %s: %v", e.Plugin, e.Step, e.Err) }

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.Err }

// Failure says how a call went wrong.
type Failure string

// The kinds of failure. Trap, OutOfFuel and Violation cost the instance and count for the breaker; Guest is an error
// that the guest reported in good order; Busy, Open and TooLarge mean that the guest was not called.
const (
	Trap      Failure = "trap"
	OutOfFuel Failure = "fuel"
	Violation Failure = "violation"
	Guest     Failure = "guest"
	Busy      Failure = "busy"
	Open      Failure = "open"
	TooLarge  Failure = "too_large"
)

// CallError is a hook that gave no usable answer.
type CallError struct {
	Plugin  string
	Version string
	Kind    Failure
	Policy  Policy // what the plugin's on_error says
	Text    string // for logs: reason, and with a trap the guest's stack
}

// Error implements error.
func (e *CallError) Error() string {
	return fmt.Sprintf("plugin/%s@%s: %s: %s", e.Plugin, e.Version, e.Kind, e.Text)
}
