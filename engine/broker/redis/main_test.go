package redis

import (
	"testing"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Verify(m) }
