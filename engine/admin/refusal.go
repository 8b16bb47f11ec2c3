package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
)

// failure is how an error of a plugin's change is answered.
type failure struct {
	err    error
	status int
	code   string
}

// failures is read-only.
var failures = []failure{
	{plugin.ErrUnknownPlugin, http.StatusNotFound, "UNKNOWN_PLUGIN"},
	{plugin.ErrUnknownVersion, http.StatusNotFound, "UNKNOWN_VERSION"},
	{plugin.ErrNoShadow, http.StatusNotFound, "NO_SHADOW"},
	{plugin.ErrNoCandidate, http.StatusBadRequest, codeBadRequest},
	{plugin.ErrShadowing, http.StatusConflict, "SHADOW_RUNNING"},
	{plugin.ErrNothingBefore, http.StatusConflict, "NOTHING_BEFORE"},
	{plugin.ErrNothingRecorded, http.StatusConflict, "NOTHING_RECORDED"},
	{plugin.ErrStateful, http.StatusConflict, "STATEFUL"},
	{plugin.ErrChanged, http.StatusConflict, codeConflict},
	{plugin.ErrGoverned, http.StatusConflict, "GOVERNED"},
	{plugin.ErrClosed, http.StatusServiceUnavailable, codeUnavailable},
}

// refusedChange are the details of a refusal.
type refusedChange struct {
	Plugin  string      `json:"plugin"`
	Step    plugin.Step `json:"step,omitempty"` // where a candidate was refused
	Reason  string      `json:"reason,omitempty"`
	Serving string      `json:"serving,omitempty"` // the version that goes on
}

// failPlugin answers with an error of the plugin host. Every such error means that what served goes on. Those who may use
// this API own the plugins, so they are told all of it.
func (s *Server) failPlugin(w http.ResponseWriter, r *http.Request, err error) {
	var load *plugin.LoadError
	details := refusedChange{Plugin: r.PathValue("name")}
	if d, err := s.deps.Prover.Detail(details.Plugin); err == nil {
		details.Serving = d.Version
	}
	p := problem{Detail: err.Error()}
	if errors.Is(err, plugin.ErrNothingRecorded) {
		p.Detail += "; the plugin's record.events says how many are, as they come (0: none)"
	}
	if i := slices.IndexFunc(failures, func(f failure) bool { return errors.Is(err, f.err) }); i >= 0 {
		p.Status, p.Code = failures[i].status, failures[i].code
	} else if r.Context().Err() != nil {
		p.Status, p.Code = http.StatusServiceUnavailable, codeUnavailable
		p.Detail = fmt.Sprintf("it was not done within admin.candidate_timeout (%v), and nothing was changed: %v", s.cfg.CandidateTimeout, err)
	} else if errors.As(err, &load) {
		p.Status, p.Code = http.StatusUnprocessableEntity, codeCandidate
		details.Step, details.Reason = load.Step, fmt.Sprint(load.Err)
	} else {
		s.fail(w, r, err, nil)
		return
	}
	text, err := json.Marshal(details)
	if err != nil { // texts alone
		panic(fmt.Sprintf("admin: details do not marshal: %v", err))
	}
	p.Details = text
	writeProblem(w, p)
}

// shadowQuery reads the parameters of a shadow. Without any there is none.
func shadowQuery(values url.Values) (s plugin.Shadow, err error) {
	number := func(name string) int {
		n, failed := strconv.Atoi(values.Get(name))
		if values.Has(name) && (failed != nil || n < 0 || n > math.MaxInt32) {
			err = fmt.Errorf("%s: %q is not a whole number from 0 to %d", name, values.Get(name), math.MaxInt32)
		}
		return n
	}
	s.Events, s.For = number("shadow_events"), time.Duration(number("shadow_seconds"))*time.Second
	s.DifferencesMax = -1 // to make something different is what most changes are for
	if most := number("differences_max"); values.Has("differences_max") {
		s.DifferencesMax = most
	}
	if text := values.Get("shadow_only"); values.Has("shadow_only") {
		var failed error
		if s.Only, failed = strconv.ParseBool(text); failed != nil {
			err = fmt.Errorf("shadow_only: %q is neither true nor false", text)
		}
	}
	if err == nil && (s.Events > 0 || s.For > 0 || s.Only || values.Has("differences_max")) {
		if err = s.Validate(); err != nil {
			err = fmt.Errorf("shadow: %w (shadow_events, shadow_seconds)", err)
		}
		return s, err
	}
	return plugin.Shadow{}, err
}

// decodeStrictly reads one JSON document without unknown members.
func decodeStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("there is more than one document")
	}
	return nil
}
