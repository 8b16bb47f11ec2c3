package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// The costliest members, in every form that an answer can have.
func TestAnAnswerAboutMembersFitsWhatTheConfigurationAllows(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Topics = append([]broker.Class{{Pattern: "public:*", Presence: true}}, cfg.Topics...)
	require.NoError(t, cfg.checkPresence())
	limits := cfg.Limits.Presence
	list := &message.Members{Topic: message.Topic(strings.Repeat("a", 255)), Version: 1 << 52}
	for i := range limits.MembersMax {
		m := message.Member{UserID: fmt.Sprintf("%0128d", i), Connections: 1 << 31, SinceMS: time.Now().UnixMilli()}
		if i < limits.TopicKiBMax/limits.DataKiBMax {
			numbers := strings.Repeat("1.5,", limits.DataKiBMax<<10/4-2)
			m.Data = []byte(`{"":[` + numbers[:len(numbers)-1] + `]}`)
			require.Less(t, limits.DataKiBMax<<10-len(m.Data), 8)
		}
		list.Members = append(list.Members, m)
	}
	reply := &message.Reply{CID: strings.Repeat("\x01", 256), Body: list}
	longest := 0
	for _, encoding := range encodings(&cfg.Limits) {
		out, _ := encoding.Wrap(encoding.Dialect.AppendReply(nil, reply), 0)
		require.Less(t, len(out), cfg.Limits.QueueKiBMax<<10, encoding.Name)
		longest = max(longest, len(out))
	}
	kib := longest>>10 + 1
	cfg.Limits.QueueKiBMax = kib
	require.ErrorContains(t, cfg.checkPresence(), "limits.presence_topic_kib_max: ", "what may be as long as %d KiB is refused", kib)
	cfg.Limits.QueueKiBMax = kib + kib/8
	require.NoError(t, cfg.checkPresence(), "and little more is enough")
}

func TestLimitsOfPresenceMatterOnlyWhereAClassHasIt(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Limits.QueueKiBSoft, cfg.Limits.QueueKiBMax = 16, 16
	require.NoError(t, cfg.checkPresence())
	cfg.Topics = append(cfg.Topics, broker.Class{Pattern: "public:*", Presence: true})
	require.Error(t, cfg.checkPresence())
	cfg.Limits.Presence.MembersMax, cfg.Limits.Presence.DataKiBMax = 3, 1
	require.NoError(t, cfg.checkPresence(), "three members with a KiB each are little, whatever a topic may have")
}
