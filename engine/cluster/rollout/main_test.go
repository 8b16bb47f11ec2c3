package rollout_test

import (
	"testing"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	redistest.Verify(m)
}
