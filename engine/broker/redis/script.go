package redis

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/broker"
)

//go:embed script_begin.lua
var scriptBegin string

//go:embed script_life.lua
var scriptLife string

//go:embed script_publish.lua
var scriptPublish string

//go:embed script_read.lua
var scriptRead string

//go:embed script_position.lua
var scriptPosition string

// script is a Lua script with what the server calls it.
type script struct {
	text string
	sha  string
}

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// scripts are those of a class. What the class says is in their text and not among their arguments, which makes a call a third
// cheaper; classes that say the same have the same scripts.
type scripts struct {
	publish, read, position *script
}

// idBytesMax is what a publisher's id may take of the memory for ids that are remembered.
const idBytesMax = 512

// compileScripts returns the scripts of class. The lives of keys have a step added, since they are extended only so often.
func compileScripts(cfg *Config, class *broker.CompiledClass) *scripts {
	life := cfg.TopicIdleTTL
	idsMax, historyMax, snapshotsMax := 0, class.HistorySize, 0
	step := life
	if historyMax > 0 {
		life, step = max(life, class.HistoryTTL), min(step, class.HistoryTTL)
	}
	if class.IdempotencyTTL > 0 {
		idsMax = class.IdempotencyMax
		life, step = max(life, class.IdempotencyTTL), min(step, class.IdempotencyTTL)
	}
	if class.Snapshots {
		snapshotsMax = cfg.SnapshotTypesMax
		life, step = max(life, cfg.SnapshotTTL), min(step, cfg.SnapshotTTL)
	}
	step = max(step/8, time.Millisecond)
	publish := "PUBLISH"
	if cfg.Sharded {
		publish = "SPUBLISH"
	}
	var b strings.Builder
	number := func(name string, value int64) { fmt.Fprintf(&b, "local %s = %d\n", name, value) }
	lives := func(name string, d time.Duration) { number(name, (d+2*step).Milliseconds()+1) }
	number("STEP", step.Milliseconds())
	lives("META_TTL", life)
	lives("HISTORY_TTL", class.HistoryTTL)
	lives("IDS_TTL", class.IdempotencyTTL)
	fmt.Fprintf(&b, "local RECORD_TTL = '%d'\n", (2*cfg.PublishWait + recordSpare).Milliseconds())
	number("HISTORY_MAX", int64(historyMax))
	number("SPARE", int64(min(historyMax/8, 63)))
	number("HISTORY_BYTES", class.HistoryBytesMax)
	number("HISTORY_AGE", class.HistoryTTL.Microseconds())
	number("IDS_MAX", int64(idsMax))
	number("IDS_AGE", class.IdempotencyTTL.Microseconds())
	number("SNAPSHOTS_MAX", int64(snapshotsMax))
	fmt.Fprintf(&b, "local PUBLISH, PLAIN_COPY = '%s', %t\n", publish, cfg.PlainCopy)
	b.WriteString(`local NUMBER, AT = '^{"v":2,"seq":(%d+)', '^{"v":2,"seq":%d+,"epoch":"%x+","at":(%d+)'` + "\n")
	b.WriteString(scriptBegin)
	begin := b.String()
	whole := func(text string) *script { return newScript(begin + strings.Replace(text, "@life", scriptLife, 1)) }
	return &scripts{publish: whole(scriptPublish), read: whole(scriptRead), position: whole(scriptPosition)}
}

// recordSpare is how much longer than publications are tried a lane's record of its batch is kept.
const recordSpare = 10 * time.Second
