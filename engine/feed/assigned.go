package feed

import (
	"slices"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// Assigned returns the subscriptions that a token's claim subs makes for its holder (PROTOCOL §2.4), in requests that are not
// larger than a client's own may be.
func (f *Feed) Assigned(identity *auth.Identity) (requests []*message.Subscribe) {
	for topics := range slices.Chunk(identity.Subs(), f.cfg.TopicsPerRequest) {
		requests = append(requests, &message.Subscribe{Action: "subscribe", Topics: topics})
	}
	return requests
}

// missing returns those of the topics named that the client does not have.
func (f *Feed) missing(s *router.Client, names []string) (missing []string) {
	for _, name := range names {
		if topic, err := resolve(s, name); err != nil || s.Member.Find(topic) == nil {
			missing = append(missing, name)
		}
	}
	return missing
}
