package rollout_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/plugin"
)

func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	goleak.VerifyTestMain(m)
}
