package redis

import (
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
)

// fault is what the error of a call means for it.
type fault uint8

const (
	faultNone  fault = iota
	faultFinal       // it was refused for good, and nothing was done
	faultLoad        // the server does not know the script, nothing was done
	faultMoved       // another server has the slot, nothing was done
	faultLater       // the server cannot do it now, nothing was done
	faultRole        // the server is not the one to ask any more, nothing was done
	faultLost        // the connection broke: nobody knows
)

// Errors that only this package sees.
var (
	errReplicas = errors.New("too few replicas have it")
	errRole     = errors.New("the server is no primary")
)

// faultOf classifies an answer. Servers before version 7 put a script's error into a sentence of their own, so that the word that
// says what it is does not always come first.
func faultOf(err error) fault {
	if err == nil {
		return faultNone
	}
	var answer goredis.Error
	switch {
	case errors.Is(err, goredis.Nil):
		return faultNone
	case errors.Is(err, errReplicas):
		return faultLater
	case !errors.As(err, &answer):
		return faultLost
	}
	text := answer.Error()
	for _, known := range [...]struct {
		word string
		is   fault
	}{
		{"NOSCRIPT ", faultLoad}, {"MOVED ", faultMoved}, {"ASK ", faultLater}, {"TRYAGAIN ", faultLater}, {"CLUSTERDOWN ", faultMoved},
		{"LOADING ", faultLater}, {"BUSY ", faultLater}, {"NOREPLICAS ", faultLater}, {"MISCONF ", faultLater},
		{"non local key", faultLater}, {"READONLY ", faultRole}, {"MASTERDOWN ", faultRole}, {"NOAUTH ", faultRole}, {"UNBLOCKED ", faultRole},
	} {
		if strings.Contains(text, known.word) {
			return known.is
		}
	}
	return faultFinal
}

// refusal is what the caller of a call is told whose fault is final.
func refusal(c *call, err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "OOM "):
		return fmt.Errorf("broker/redis: %w: the server has no memory left for %s (maxmemory): %w", broker.ErrFull, c.topic, err)
	case strings.Contains(text, "WRONGTYPE"):
		return fmt.Errorf("%w: one of the keys {wse:%s}:m, :h, :s and :i in Redis is of another type than the broker made it; "+
			"find out with TYPE which one, and who else writes it, and delete it: %w", broker.ErrSpoilt, c.topic, err)
	case strings.Contains(text, "NOPERM"):
		return fmt.Errorf("broker/redis: %w: topic %s: the user needs the commands of scripts, lists, hashes and publishing on wse:* and {wse:*: %w",
			broker.ErrUnavailable, c.topic, err)
	}
	return fmt.Errorf("broker/redis: topic %s: %w", c.topic, err)
}

// unavailable is what the caller of a call is told that could not be carried out in time.
func unavailable(c *call, why error) error {
	if c.again {
		return fmt.Errorf("broker/redis: %w: %s: it was sent, and no answer came that it was carried out: %w", broker.ErrUnavailable, c.topic, why)
	}
	return fmt.Errorf("broker/redis: %w: %s: it was not sent: %w", broker.ErrUnavailable, c.topic, why)
}
