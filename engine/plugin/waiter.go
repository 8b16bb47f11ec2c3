package plugin

import "context"

// Waiter is told when a call waits because a plugin is slow, so that the goroutine's owner can have another one do the
// work that does not depend on that plugin.
//
// StepAside is called before such a wait and StepBack after it, on the goroutine that asked; neither may block.
type Waiter interface {
	StepAside()
	StepBack()
}

// waitingContext is a context that knows whom to tell. It is a part of memory that is used again: context.WithValue would
// be an allocation for each request.
type waitingContext struct {
	context.Context
	waiter Waiter
}

type waiterKey struct{}

// Value implements context.Context.
func (c *waitingContext) Value(key any) any {
	if key == (waiterKey{}) {
		return c.waiter
	}
	return c.Context.Value(key)
}

// stepAside tells whom it concerns that ctx's call waits, and reports whether there is somebody; stepBack must follow then.
func stepAside(ctx context.Context) bool {
	w, ok := ctx.Value(waiterKey{}).(Waiter)
	if ok {
		w.StepAside()
	}
	return ok
}

func stepBack(ctx context.Context) {
	if w, ok := ctx.Value(waiterKey{}).(Waiter); ok {
		w.StepBack()
	}
}
