package shared_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) {
	redistest.Prepare()
	// A pool that lost its server looks for it again once a second, and sees then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
