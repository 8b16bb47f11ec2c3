package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
)

// servingPlugin is a plugin as the API shows it.
type servingPlugin struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	SHA256      string            `json:"sha256"`
	Path        string            `json:"path"`
	Kinds       []plugin.Kind     `json:"kinds"`
	Bind        []string          `json:"bind"`
	OnError     plugin.Policy     `json:"on_error"`
	Bytes       int               `json:"bytes"`
	Instances   int               `json:"instances"`
	Strategies  int               `json:"strategies"`         // that run on this version
	Earlier     int               `json:"strategies_earlier"` // that run on versions that served before
	Loaded      time.Time         `json:"loaded"`
	Since       time.Time         `json:"since"`         // when it came to serve; an engine that starts lets it serve on
	How         plugin.How        `json:"how,omitempty"` // it came to serve
	Who         string            `json:"who,omitempty"` // let it
	Generation  uint64            `json:"generation"`    // versions that came to serve since the start
	Breaker     string            `json:"breaker"`
	Calls       map[string]uint64 `json:"calls"`            // by result, all hooks
	Recorded    int               `json:"recorded"`         // events that a candidate can be tried on
	Shadow      plugin.Phase      `json:"shadow,omitempty"` // of the one that runs, or the last one
	DeadLetters uint64            `json:"dead_letters"`     // events that became one, since the start
}

// detailedPlugin is one plugin as the API shows it.
type detailedPlugin struct {
	servingPlugin
	Versions []keptVersion `json:"versions"` // newest first
	Shadow   *shadowState  `json:"shadow,omitempty"`
	// Cluster is what all nodes are to serve; not there where each goes by its own files and changes.
	Cluster *wantedVersion `json:"cluster,omitempty"`
}

// keptVersion is a version that can be made to serve.
type keptVersion struct {
	Version      string     `json:"version"`
	SHA256       string     `json:"sha256"`
	ConfigSHA256 string     `json:"config_sha256,omitempty"`
	Bytes        int        `json:"bytes"`
	Time         time.Time  `json:"time"`
	Who          string     `json:"who"`
	How          plugin.How `json:"how"`
	Serving      bool       `json:"serving"`
}

// change is what became of a swap or a rollback.
type change struct {
	Plugin     string       `json:"plugin"`
	From       string       `json:"from"`
	To         string       `json:"to,omitempty"` // not there while a shadow runs
	How        plugin.How   `json:"how"`
	Who        string       `json:"who"`
	Time       time.Time    `json:"time"`
	Generation uint64       `json:"generation"`
	Shadow     *shadowState `json:"shadow,omitempty"`
}

// shadowState is how a shadow stands.
type shadowState struct {
	Candidate  string       `json:"candidate"`
	Who        string       `json:"who"`
	Phase      plugin.Phase `json:"phase"` // running, swapped, abandoned or ended
	Reason     string       `json:"reason,omitempty"`
	Started    time.Time    `json:"started"`
	Ended      *time.Time   `json:"ended,omitempty"`
	Comparison comparison   `json:"comparison"`
}

// comparison is what two versions said of the same documents.
type comparison struct {
	Plugin      string       `json:"plugin"`
	Serving     string       `json:"serving"`
	Candidate   string       `json:"candidate"`
	Compared    int          `json:"compared"`
	Same        int          `json:"same"`
	Different   int          `json:"different"`
	Failed      int          `json:"failed"`
	Skipped     int          `json:"skipped"`
	Differences []difference `json:"differences"` // the first of them
}

type difference struct {
	Hook      plugin.Kind `json:"hook"`
	Input     string      `json:"input"`
	Serving   said        `json:"serving"`
	Candidate said        `json:"candidate"`
	Diff      string      `json:"diff"`
}

type said struct {
	Verdict string `json:"verdict"`
	Data    string `json:"data,omitempty"`
	Error   string `json:"error,omitempty"`
	Fuel    int64  `json:"fuel"`
}

func keptOf(k plugin.Kept) keptVersion {
	k.Time = k.Time.UTC()
	return keptVersion(k)
}

func changeOf(c plugin.Change) change {
	return change{Plugin: c.Plugin, From: c.From, To: c.To, How: c.How, Who: c.Who, Time: c.Time.UTC(), Generation: c.Generation}
}

func comparisonOf(c plugin.Comparison) comparison {
	out := comparison{
		Plugin: c.Plugin, Serving: c.Serving, Candidate: c.Candidate, Compared: c.Compared, Same: c.Same, Different: c.Different,
		Failed: c.Failed, Skipped: c.Skipped, Differences: make([]difference, len(c.Differences)),
	}
	for i, d := range c.Differences {
		out.Differences[i] = difference{Hook: d.Hook, Input: d.Input, Serving: said(d.Serving), Candidate: said(d.Candidate), Diff: d.Diff}
	}
	return out
}

func shadowOf(s *plugin.ShadowState) *shadowState {
	if s == nil {
		return nil
	}
	out := &shadowState{
		Candidate: s.Candidate, Who: s.Who, Phase: s.Phase, Reason: s.Reason, Started: s.Started.UTC(), Comparison: comparisonOf(s.Comparison),
	}
	if !s.Ended.IsZero() {
		ended := s.Ended.UTC()
		out.Ended = &ended
	}
	return out
}

// describePlugin puts together what is known of a plugin. Without calls there is no figure of its calls.
func describePlugin(d *plugin.Detail, calls map[string]uint64, dead uint64) servingPlugin {
	p := servingPlugin{
		Name: d.Name, Version: d.Version, SHA256: d.SHA256, Path: d.Path, Kinds: d.Kinds, Bind: d.Bind, OnError: d.OnError,
		Bytes: d.Bytes, Instances: d.Instances, Strategies: d.Strategies, Earlier: d.StrategiesBefore, Loaded: d.Loaded.UTC(), Breaker: d.Breaker, Generation: d.Generation,
		Recorded: d.Recorded, Calls: calls, DeadLetters: dead,
	}
	p.Since, p.How, p.Who = d.Last.Time.UTC(), d.Last.How, d.Last.Who
	for _, k := range d.Kept {
		if k.Serving && d.Last.From == "" { // as it did when the engine stopped
			p.Since, p.How, p.Who = k.Time.UTC(), k.How, k.Who
		}
	}
	if d.Shadow != nil {
		p.Shadow = d.Shadow.Phase
	}
	return p
}

// callsByPlugin sums the calls up, by plugin and result.
func (s *Server) callsByPlugin() map[string]map[string]uint64 {
	calls := make(map[string]map[string]uint64)
	for _, st := range s.deps.Plugins.Stats() {
		sum := make(map[string]uint64)
		for _, hook := range st.Hooks {
			for outcome, n := range hook.Calls {
				if n > 0 {
					sum[plugin.Outcome(outcome).String()] += n
				}
			}
		}
		calls[st.Plugin] = sum
	}
	return calls
}

func (s *Server) plugins(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	calls, dead := s.callsByPlugin(), s.deps.Intake.LetterStats().ByPlugin
	list := make([]servingPlugin, 0)
	for _, info := range s.deps.Plugins.List() {
		d, err := s.deps.Prover.Detail(info.Name)
		if err != nil { // it has just been taken out of the configuration
			continue
		}
		list = append(list, describePlugin(&d, calls[info.Name], dead[info.Name]))
	}
	writeJSON(w, map[string]any{"plugins": list})
}

func (s *Server) plugin(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	name := r.PathValue("name")
	d, err := s.deps.Prover.Detail(name)
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	out := detailedPlugin{
		servingPlugin: describePlugin(&d, s.callsByPlugin()[name], s.deps.Intake.LetterStats().ByPlugin[name]),
		Versions:      make([]keptVersion, len(d.Kept)), Shadow: shadowOf(d.Shadow), Cluster: s.wanted(name),
	}
	for i, k := range d.Kept {
		out.Versions[i] = keptOf(k)
	}
	writeJSON(w, out)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	values, ok := query(w, r)
	if !ok {
		return
	}
	c, ok := s.candidate(w, r, values)
	if !ok {
		return
	}
	k, err := s.deps.Changer.Upload(r.Context(), r.PathValue("name"), c)
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	writeJSON(w, keptOf(k))
}

func (s *Server) try(w http.ResponseWriter, r *http.Request) {
	values, ok := query(w, r, "version")
	if !ok {
		return
	}
	c, ok := s.candidate(w, r, values)
	if !ok {
		return
	}
	found, err := s.deps.Prover.Try(r.Context(), r.PathValue("name"), c)
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	writeJSON(w, comparisonOf(found))
}

func (s *Server) swap(w http.ResponseWriter, r *http.Request) {
	values, ok := query(w, r, "version", "shadow_events", "shadow_seconds", "shadow_only", "differences_max", paramCluster)
	if !ok {
		return
	}
	all, ok := s.forAll(w, values)
	if !ok {
		return
	}
	shadow, err := shadowQuery(values)
	if err == nil && all && shadow != (plugin.Shadow{}) {
		err = errors.New("a shadow runs on one node: let the candidate run beside what serves there, and then swap it in for the cluster")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "%v", err)
		return
	}
	c, ok := s.candidate(w, r, values)
	if !ok {
		return
	}
	name := r.PathValue("name")
	if all {
		report, err := s.deps.Rollout.Swap(r.Context(), name, c)
		s.told(w, r, report, err)
		return
	}
	done, err := s.deps.Changer.Swap(r.Context(), name, c, shadow)
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	answer := changeOf(done)
	if shadow == (plugin.Shadow{}) {
		writeJSON(w, answer)
		return
	}
	if d, err := s.deps.Prover.Detail(name); err == nil {
		answer.Shadow = shadowOf(d.Shadow)
	}
	write(w, http.StatusAccepted, "application/json", answer)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	values, ok := query(w, r, paramCluster)
	if !ok {
		return
	}
	all, ok := s.forAll(w, values)
	if !ok {
		return
	}
	name, ok := who(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.BodyKiBMax)<<10)
	body, ok := s.body(w, r)
	if !ok {
		return
	}
	var ask struct {
		Version string `json:"version"`
	}
	if len(body) > 0 {
		if err := decodeStrictly(body, &ask); err != nil {
			refuse(w, http.StatusBadRequest, codeBadRequest, `the body must be empty or {"version":"…"}`)
			return
		}
	}
	if all {
		report, err := s.deps.Rollout.Rollback(r.Context(), r.PathValue("name"), ask.Version, name)
		s.told(w, r, report, err)
		return
	}
	done, err := s.deps.Changer.Rollback(r.Context(), r.PathValue("name"), ask.Version, name)
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	writeJSON(w, changeOf(done))
}

func (s *Server) shadow(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	d, err := s.deps.Prover.Detail(r.PathValue("name"))
	if err == nil && d.Shadow == nil {
		err = plugin.ErrNoShadow
	}
	if err != nil {
		s.failPlugin(w, r, err)
		return
	}
	writeJSON(w, shadowOf(d.Shadow))
}

func (s *Server) cancelShadow(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	asker, ok := who(w, r)
	if !ok {
		return
	}
	if err := s.deps.Prover.CancelShadow(r.PathValue("name"), asker); err != nil {
		s.failPlugin(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
