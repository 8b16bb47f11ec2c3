package ingest

import (
	"container/list"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

const (
	deadLetterBytes  = 512  // of a document, in a list
	reasonBytes      = 2048 // of a reason
	letterBytesExtra = 640  // what a letter takes beside its document and reason, with its place in the map and the list, roughly
)

// Errors about one dead letter.
var (
	// ErrNoLetter is returned for a dead letter that is not there: it never was, was replayed, dropped or evicted.
	ErrNoLetter = errors.New("ingest: there is no such dead letter")
	// ErrReplaying is returned for a dead letter that is being replayed by somebody else.
	ErrReplaying = errors.New("ingest: the dead letter is being replayed")
)

// Letter is an event that a plugin failed on, on its way to a [Keeper].
type Letter struct {
	EventID         string // the event's own, or the one made for it
	Named           bool   // the id is the event's own, so that it is the same when the event is handed in again
	Event           string // its type
	Plugin, Version string // that failed
	Reason          string
	Document        []byte // what the plugin was given, only read; [Ingest.ParseEvent] reads it
}

// Keeper keeps dead letters for all nodes. Keep returns the id of the letter that l became, or was already. It may block until
// ctx ends; after an error nothing is kept, and the event is refused so that its publisher has it still. It may be called by any
// number of goroutines. LetterStats does not block.
type Keeper interface {
	Keep(ctx context.Context, l Letter) (id string, err error)
	LetterStats() LetterStats
}

// ChannelEvents is the channel of dead letters that were handed in as events, however they came.
const ChannelEvents = "events"

// LetterQuery chooses dead letters. What is empty chooses all.
type LetterQuery struct {
	Plugin  string // that failed
	Channel string // [ChannelEvents], or where a foreign program published
}

// holds reports whether q chooses an event that plugin failed on.
func (q LetterQuery) holds(plugin string) bool {
	return (q.Plugin == "" || q.Plugin == plugin) && (q.Channel == "" || q.Channel == ChannelEvents)
}

// DeadLetter is an event that a plugin failed on, or what somebody published that is none, kept to be looked at and handed in
// again.
type DeadLetter struct {
	ID       string    // the letter's own; an event may fail more than once, and so be more than one letter
	Channel  string    // [ChannelEvents], or where a foreign program published
	From     string    // the entry of a stream, or the channel, that it came from; empty: it was handed in
	Time     time.Time // when it was handed in
	EventID  string    // the event's, or the one made for it that its publisher was told; empty: it is no event
	Event    string    // its type
	Plugin   string    // that failed last; empty: it is no plugin's fault
	Version  string
	Reason   string // of the last failure
	Attempts int    // failures, the first included
	Last     time.Time
	Document string // what the plugin is given; in a list the first 512 bytes
	Bytes    int    // of all of it
	Cut      bool   // it was too large to be kept whole, and cannot be handed in again
}

// LetterStats tells of the dead letters as a whole.
type LetterStats struct {
	Kept       int               // now
	BytesKept  int64             // now
	ByPlugin   map[string]uint64 // events that became one, by the plugin that failed
	Evicted    uint64            // lost for want of room
	Dropped    uint64            // by an operator
	Replayed   uint64            // handed in again, and taken
	ReplayFail uint64            // handed in again, and kept
}

// letter is a dead letter in the ring. Its event shares nothing with the publisher; time, event and id are immutable.
type letter struct {
	DeadLetter
	event  message.Event
	done   []Result // envelopes of an attempt that failed later on
	busy   bool     // it is being replayed
	weight int64    // towards the limit of bytes
}

// letters holds the newest dead letters, bounded by number and by bytes.
type letters struct {
	most      int   // immutable
	bytesMost int64 // immutable
	ids       *message.IDSource

	mu    sync.Mutex
	order list.List                // guarded by mu; of *letter, the newest first
	byID  map[string]*list.Element // guarded by mu
	stats LetterStats              // guarded by mu
}

func (l *letters) init(cfg *Config) {
	l.most, l.bytesMost = cfg.DeadLettersMax, int64(cfg.DeadLettersKiBMax)<<10
	l.ids = message.NewIDSource("dl")
	l.byID, l.stats.ByPlugin = make(map[string]*list.Element), make(map[string]uint64)
}

// add keeps an event that d failed on and returns the letter's id.
func (l *letters) add(ev *message.Event, eventID string, doc []byte, d Decision, reason string) string {
	now := time.Now()
	e := &letter{event: *ev, DeadLetter: DeadLetter{
		ID: l.ids.Next(), Channel: ChannelEvents, Time: now, EventID: strings.Clone(eventID), Event: strings.Clone(ev.Type), Bytes: len(doc),
	}}
	e.event.Payload = slices.Clone(ev.Payload)
	for _, s := range []*string{&e.event.Type, &e.event.UserID, &e.event.ID, &e.event.CID, &e.event.TraceID} {
		*s = strings.Clone(*s) // a part of something larger would keep all of it
	}
	e.event.Topic = message.Topic(strings.Clone(string(ev.Topic)))
	e.fail(d, reason, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.ByPlugin[d.Plugin]++
	if l.most == 0 || e.weight > l.bytesMost { // it would push all others out for nothing
		l.stats.Evicted++
		return e.ID
	}
	l.byID[e.ID] = l.order.PushFront(e)
	l.stats.Kept++
	l.stats.BytesKept += e.weight
	l.trim(e)
	return e.ID
}

// fail notes a failure. Where e is in the ring, l.mu is held.
func (e *letter) fail(d Decision, reason string, now time.Time) {
	e.Plugin, e.Version, e.Last = d.Plugin, d.Version, now
	e.Reason = strings.Clone(reason[:min(len(reason), reasonBytes)])
	e.Attempts++
	e.weight = int64(e.Bytes - len(e.event.Payload) + cap(e.event.Payload) + len(e.Reason) + letterBytesExtra)
}

// trim evicts the oldest letters until the others are within the limits, but neither except nor one that is being replayed,
// which leaves by itself if all goes well. l.mu is held.
func (l *letters) trim(except *letter) {
	for at := l.order.Back(); at != nil && (l.stats.Kept > l.most || l.stats.BytesKept > l.bytesMost); {
		e, newer := at.Value.(*letter), at.Prev()
		if e != except && !e.busy {
			l.remove(at)
			l.stats.Evicted++
		}
		at = newer
	}
}

// remove takes a letter out. l.mu is held.
func (l *letters) remove(at *list.Element) {
	e := l.order.Remove(at).(*letter)
	delete(l.byID, e.ID)
	l.stats.Kept--
	l.stats.BytesKept -= e.weight
}

// find returns a letter that nobody is replaying. l.mu is held.
func (l *letters) find(id string) (*list.Element, *letter, error) {
	at, ok := l.byID[id]
	if !ok {
		return nil, nil, ErrNoLetter
	}
	e := at.Value.(*letter)
	if e.busy {
		return nil, nil, ErrReplaying
	}
	return at, e, nil
}

// DeadLetters returns the newest of the dead letters that q chooses, newest first, at most limit of them, each with the beginning
// of its document. Total is how many it chooses. It neither blocks nor fails.
func (in *Ingest) DeadLetters(_ context.Context, q LetterQuery, limit int) (newest []DeadLetter, total int, err error) {
	l := &in.letters
	var doc []byte
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := l.order.Front(); at != nil; at = at.Next() {
		e := at.Value.(*letter)
		if !q.holds(e.Plugin) {
			continue
		}
		if total++; total > limit {
			continue
		}
		d := e.DeadLetter
		doc = appendEvent(doc[:0], &e.event)
		d.Document = string(doc[:min(len(doc), deadLetterBytes)])
		newest = append(newest, d)
	}
	return newest, total, nil
}

// DeadLetter returns one dead letter with its whole document, or [ErrNoLetter].
func (in *Ingest) DeadLetter(_ context.Context, id string) (DeadLetter, error) {
	l := &in.letters
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.byID[id]
	if !ok {
		return DeadLetter{}, ErrNoLetter
	}
	e := at.Value.(*letter)
	d := e.DeadLetter
	d.Document = string(appendEvent(nil, &e.event))
	return d, nil
}

// DropDeadLetter forgets a dead letter. The error is [ErrNoLetter] or [ErrReplaying].
func (in *Ingest) DropDeadLetter(_ context.Context, id string) error {
	l := &in.letters
	l.mu.Lock()
	defer l.mu.Unlock()
	at, _, err := l.find(id)
	if err == nil {
		l.remove(at)
		l.stats.Dropped++
	}
	return err
}

// LetterStats returns the figures of the dead letters, a [Keeper]'s where there is one.
func (in *Ingest) LetterStats() LetterStats {
	if in.keeper != nil {
		return in.keeper.LetterStats()
	}
	l := &in.letters
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.ByPlugin = maps.Clone(s.ByPlugin)
	return s
}
