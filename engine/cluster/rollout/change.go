package rollout

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/plugin"
)

// Swap lets c serve on all nodes, or on none. What c leaves out, and a kept version that it names, are this node's. It returns when all
// nodes that are alive have switched, or a while after the change was made; the report says how each stands. The error is that of a
// candidate, as of [plugin.Host.Swap], [ErrRefused], [ErrBusy], [ErrUnavailable] or [ErrUnknown]; only with the last may anything have
// changed. Where nodes were asked the report tells of them also with an error. Until the change is made, it ends with ctx.
func (r *Rollout) Swap(ctx context.Context, name string, c plugin.Candidate) (Report, error) {
	b, err := r.host.Bundle(name, c)
	if err == nil && c.Version == "" && len(c.Module)+len(c.Config) == 0 {
		err = fmt.Errorf("%w: give a module, a config, or the version of a kept one", plugin.ErrNoCandidate)
	}
	if err != nil {
		return Report{}, err
	}
	p := r.proposal(name, plugin.HowSwap, c.Who)
	return r.change(ctx, p, func(ctx context.Context) error {
		over, err := r.host.Bundle(name, plugin.Candidate{})
		if err != nil {
			return err
		}
		p.next = p.before.next(versionOf(&b, c.Who), versionOf(&over, ""), r.deps.VersionsMax)
		p.bundles = []plugin.Bundle{b}
		if len(p.before.Versions) == 0 {
			p.bundles = append(p.bundles, over)
		}
		return nil
	})
}

// Rollback lets a version serve on all nodes again: the named one, or where version is empty the one that the cluster wanted before.
// Where it never wanted one, it is the one that served before on this node. The rest is as with [Rollout.Swap].
func (r *Rollout) Rollback(ctx context.Context, name, version, who string) (Report, error) {
	if _, err := r.host.Bundle(name, plugin.Candidate{}); err != nil {
		return Report{}, err
	}
	p := r.proposal(name, plugin.HowRollback, who)
	return r.change(ctx, p, func(ctx context.Context) error {
		next, ok, err := p.before.back(version)
		if err != nil {
			return fmt.Errorf("plugin/%s: %w", name, err)
		}
		if !ok {
			return r.backLocally(p, version)
		}
		v := next.wanted()
		b, err := r.local(name, v)
		if err != nil {
			b, err = r.shelf.fetch(ctx, name, v)
		}
		if err != nil {
			return refused(err)
		}
		p.next, p.bundles = next, []plugin.Bundle{b}
		return nil
	})
}

// backLocally proposes a version that this node keeps and the cluster does not.
func (r *Rollout) backLocally(p *proposal, id string) error {
	if id == "" && len(p.before.Versions) > 0 {
		return fmt.Errorf("plugin/%s: %w that the cluster wants", p.name, plugin.ErrNothingBefore)
	}
	if id == "" {
		var err error
		if id, err = r.host.Before(p.name); err != nil {
			return err
		}
	}
	b, err := r.host.Bundle(p.name, plugin.Candidate{Version: id})
	if err != nil {
		return err
	}
	v := versionOf(&b, p.who)
	p.next, p.bundles = p.before.next(v, v, r.deps.VersionsMax), []plugin.Bundle{b}
	return nil
}

// Forget has the cluster want no version of a plugin in particular: what serves goes on, and each node's own files, swaps and rollbacks
// count again. The error is [ErrNotGoverned], [ErrBusy], [ErrUnavailable] or [ErrUnknown].
func (r *Rollout) Forget(ctx context.Context, name, who string) (Report, error) {
	p := r.proposal(name, howForget, who)
	return r.change(ctx, p, func(context.Context) error {
		if p.before.wanted() == nil {
			return fmt.Errorf("plugin/%s: %w", name, ErrNotGoverned)
		}
		return nil
	})
}

// proposal is a change that is to be made.
type proposal struct {
	claim
	name, who    string
	before, next record
	bundles      []plugin.Bundle // whose bytes are to be in Redis
	report       Report
	seen         map[string]bool // nodes that answered
}

func (r *Rollout) proposal(name string, how plugin.How, who string) *proposal {
	id := strings.ToLower(rand.Text()[:changeRandom])
	return &proposal{
		claim: claim{Change: id, Node: r.deps.Bus.ID(), Plugin: name, How: how, Who: who}, name: name, who: who,
		report: Report{Plugin: name, How: how, Who: who, Change: id, Outcome: OutcomeRefused, Nodes: []NodeReport{}},
		seen:   make(map[string]bool),
	}
}

// changeRandom is how many random letters and digits the id of a change has.
const changeRandom = 16

// change makes the change that propose proposes, once what the cluster wants until now is known and nobody else changes it.
func (r *Rollout) change(ctx context.Context, p *proposal, propose func(ctx context.Context) error) (Report, error) {
	err := r.try(ctx, p, propose)
	p.report.Reason = ""
	switch {
	case err == nil:
		p.report.Outcome = OutcomeSwitched
		r.figures.changed.Add(1)
	case errors.Is(err, ErrUnknown):
		p.report.Outcome = OutcomeUnknown
		r.figures.unknown.Add(1)
	default:
		r.figures.refused.Add(1)
	}
	args := []any{"plugin", p.name, "version", p.report.Version, "how", string(p.How), "who", p.who, "change", p.Change, "outcome", string(p.report.Outcome)}
	if err != nil {
		p.report.Reason = strings.TrimPrefix(err.Error(), "plugin/"+p.name+": ")
		r.log.Error("a change of a plugin on all nodes was not made", append(args, "error", err)...)
		return p.report, err
	}
	r.log.Info("a plugin was changed on all nodes", append(args, "everywhere", p.report.Everywhere())...)
	return p.report, nil
}

func (r *Rollout) try(ctx context.Context, p *proposal, propose func(ctx context.Context) error) (err error) {
	lease := r.cfg.lease()
	if err := r.shelf.take(ctx, &p.claim, lease, r.dead); err != nil {
		if errors.Is(err, ErrUnavailable) {
			r.settle(&p.claim)
		}
		return err
	}
	defer func() {
		switch {
		case errors.Is(err, ErrUnknown):
			r.settle(&p.claim)
		case err != nil:
			r.giveUp(ctx, p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.PrepareTimeout)
	defer cancel()
	if p.before, err = r.shelf.readOne(ctx, p.name); err != nil {
		return err
	}
	if err := propose(ctx); err != nil {
		return err
	}
	p.next.Change, p.next.Node, p.next.How, p.next.Who = p.Change, p.Node, p.How, p.who
	if v := p.next.wanted(); v != nil {
		p.report.Version = v.Version
		if err := r.shelf.stage(ctx, &p.claim, lease, p.bundles); err != nil {
			return refused(err)
		}
		if err := r.gather(ctx, p, v); err != nil {
			return err
		}
	}
	return r.decide(ctx, p)
}

// dead tells whether a node is known not to live.
func (r *Rollout) dead(ctx context.Context, id string) bool {
	if r.deps.Alive == nil {
		return false
	}
	nodes, err := r.deps.Alive(ctx)
	return err == nil && !slices.ContainsFunc(nodes, func(n cluster.Info) bool { return n.ID == id })
}

// refused makes an error that is not one of Redis a refusal.
func refused(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// gather asks all nodes to make a version ready, until all have, or one has not.
func (r *Rollout) gather(ctx context.Context, p *proposal, v *version) error {
	for {
		err := r.askAll(ctx, p, subjectPrepare, &ask{Change: p.Change, Plugin: p.name, How: p.How, Version: v})
		if err != nil {
			return err
		}
		ready := p.report.count(StateReady) + p.report.count(StateGone)
		switch against := p.report.against(); {
		case errors.Is(ctx.Err(), context.Canceled): // also where all are ready
			return fmt.Errorf("plugin/%s: %w: who asked for it does not wait any more", p.name, ErrRefused)
		case ready == len(p.report.Nodes):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("plugin/%s: %w: %d of %d nodes were ready within prepare_timeout (%v)",
				p.name, ErrRefused, p.report.count(StateReady), len(p.report.Nodes), r.cfg.PrepareTimeout)
		case len(against) > 0:
			return fmt.Errorf("plugin/%s: %w: %s", p.name, ErrRefused, strings.Join(against, ", "))
		}
	}
}

// askAll asks all nodes and notes how they stand. Those that answered before and are not among the nodes any more are noted as gone.
func (r *Rollout) askAll(ctx context.Context, p *proposal, subject string, a *ask) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	answers, err := r.deps.Bus.Ask(ctx, subject, body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	nodes, present := make([]NodeReport, 0, len(answers)), make(map[string]bool)
	for i := range answers {
		n := nodeReport(&answers[i])
		nodes, present[n.ID], p.seen[n.ID] = append(nodes, n), true, true
	}
	for id := range p.seen {
		if !present[id] {
			nodes = append(nodes, NodeReport{ID: id, State: StateGone, Reason: "died or left meanwhile; should it come back, it follows before it is ready"})
		}
	}
	slices.SortFunc(nodes, func(a, b NodeReport) int { return cmp.Compare(a.ID, b.ID) })
	p.report.Nodes = nodes
	return nil
}

func nodeReport(a *cluster.Answer) (n NodeReport) {
	err := a.Err
	if err == nil {
		err = json.Unmarshal(a.Body, &n)
	}
	n.ID = a.Node.ID
	switch {
	case errors.Is(err, cluster.ErrSilent):
		n.State, n.Reason = StateSilent, "did not answer: it is paused, cut off, or has just died, which shows after node_timeout"
	case err != nil:
		n.State, n.Reason = StateRefused, err.Error()
	}
	return n
}

// decideAgain is how long Redis is left alone before it is asked again to take a change.
const decideAgain = 100 * time.Millisecond

// decide makes the change the cluster's, and has the nodes follow it. From here on it does not end with ctx.
func (r *Rollout) decide(ctx context.Context, p *proposal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.CommitTimeout)
	defer cancel()
	number, err := r.shelf.commit(ctx, &p.claim, &p.before, &p.next)
	for errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(decideAgain):
			number, err = r.shelf.commit(ctx, &p.claim, &p.before, &p.next)
		}
	}
	if errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("plugin/%s: %w: Redis decides it, and either all nodes make it or none; see what they serve when it is back (wse nodes): %w",
			p.name, ErrUnknown, err)
	}
	if err != nil {
		return fmt.Errorf("plugin/%s: %w: %w", p.name, ErrRefused, err)
	}
	p.next.Number = number
	r.learn(p.name, &p.next)
	r.tell(ctx, p, number)
	return nil
}

// tell has the nodes follow a change that was made, and notes how they stand.
func (r *Rollout) tell(ctx context.Context, p *proposal, number int64) {
	for {
		before := p.report.Nodes
		err := r.askAll(ctx, p, subjectFollow, &ask{Change: p.Change, Plugin: p.name, How: p.How, Number: number})
		if err != nil { // they look by themselves
			p.report.Nodes = before
			for i := range before {
				if before[i].State == StateReady {
					before[i].State, before[i].Reason = StateSilent, err.Error()
				}
			}
			return
		}
		if p.report.count(StateWorking) == 0 || ctx.Err() != nil {
			return
		}
	}
}

// settle ends the lease of a change of which Redis did not say whether it took it, or its lease, as soon as Redis answers, so that the
// next change need not wait for its end. A commit that is still on its way is refused behind that.
func (r *Rollout) settle(c *claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		return
	}
	run := r.ctx
	r.work.Go(func() {
		ctx, cancel := context.WithTimeout(run, r.cfg.lease())
		defer cancel()
		for r.shelf.drop(ctx, c) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(r.cfg.CheckInterval):
			}
		}
		r.wake()
	})
}

// giveUp ends a change that is not made.
func (r *Rollout) giveUp(ctx context.Context, p *proposal) {
	ctx = context.WithoutCancel(ctx)
	dropping, cancel := context.WithTimeout(ctx, r.cfg.CommitTimeout) // as long as for a change: the next one is refused while this one has the lease
	defer cancel()
	if r.shelf.drop(dropping, &p.claim) != nil {
		r.settle(&p.claim)
	}
	if len(p.seen) == 0 {
		return
	}
	if body, err := json.Marshal(&ask{Change: p.Change, Plugin: p.name, How: p.How}); err == nil {
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		_, _ = r.deps.Bus.Ask(asking, subjectAbandon, body) // who does not hear it gives up in time
	}
}
