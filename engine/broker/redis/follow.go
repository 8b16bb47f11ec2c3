package redis

import (
	"context"
	"fmt"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// follower receives the publications of the topics that this node is interested in.
type follower struct{ b *Broker }

func newFollower(b *Broker) *follower { return &follower{b: b} }

func (f *follower) setInterest(context.Context, message.Topic, bool) error {
	return fmt.Errorf("broker/redis: %w: nothing is received", broker.ErrUnavailable)
}

func (f *follower) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *follower) close() {}
