package broker

import (
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Stats are a broker's figures. The counters begin with the process. What a broker cannot know of what is outside the
// process is zero.
type Stats struct {
	Topics        int
	BytesKept     int64 // history, retained snapshots and ids
	BytesKeptMax  int64
	Published     uint64
	Duplicates    uint64 // publishes of an id that was published before
	Refused       uint64 // publishes refused for topics_max
	Expired       uint64 // publications dropped from histories for their age
	Evicted       uint64 // publications dropped from histories for the budget
	TopicsDropped uint64
}

// TopicInfo describes a topic to operators.
type TopicInfo struct {
	Topic        message.Topic
	Class        string        // its class's pattern
	Seq          uint64        // of the last publication
	Epoch        message.Epoch // 0 where the class keeps no history
	Publications int           // kept
	Snapshots    int           // retained
	Bytes        int64         // kept
	Idle         time.Duration // since it was last published to or read
	Subscribed   bool          // somebody is subscribed to it by name
}
