package redistest

import (
	"flag"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/redis"
)

// testsAbreast is how many tests run at a time at least: most of what they do is waiting for servers.
const testsAbreast = 8

// Verify is the TestMain of a package with brokers on servers that fail: [Prepare], the tests, and that they leave no goroutine behind
// but one of the library's, which ends by itself: a pool that lost its server looks for it again once a second, and sees then that it
// was closed.
func Verify(m *testing.M) {
	Prepare()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// Prepare is what the TestMain of a package does first whose tests need servers: several of those that call t.Parallel run at a time
// on however few processors, unless the command line says how many; and the client library is quiet, so that what tests say is read.
func Prepare() {
	redis.Quiet()
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", strconv.Itoa(max(testsAbreast, runtime.GOMAXPROCS(0)))) // a number is always taken
	}
}
