package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
)

// version is one that the cluster wants, or wanted.
type version struct {
	Version string `json:"version"`
	Module  string `json:"module"`           // SHA-256
	Config  string `json:"config,omitempty"` // SHA-256; empty: it has none
	Who     string `json:"who,omitempty"`    // handed it in
}

func versionOf(b *plugin.Bundle, who string) version {
	return version{Version: b.Version, Module: b.SHA256, Config: b.ConfigSHA256, Who: who}
}

// is tells whether two are the same bytes.
func (v *version) is(o *version) bool { return v.Module == o.Module && v.Config == o.Config }

// servedBy tells whether that is what a node serves.
func (v *version) servedBy(p *plugin.Info) bool {
	return v.Module == p.SHA256 && v.Config == p.ConfigSHA256
}

// blobs are the keys of its bytes: the module's, and the config's where it has one.
func (v *version) blobs(name string) []string {
	keys := []string{blobKey(name, v.Module)}
	if v.Config != "" {
		keys = append(keys, blobKey(name, v.Config))
	}
	return keys
}

// record is what the cluster wants of a plugin.
type record struct {
	// Number is greater than that of every record before: the Unix milliseconds by Redis's clock when it was taken, or one more than
	// the one before.
	Number int64      `json:"number"`
	Change string     `json:"change"` // the id of the change that made it
	Node   string     `json:"node"`   // the id of the coordinator
	How    plugin.How `json:"how"`    // swap, rollback or forget
	Who    string     `json:"who,omitempty"`
	// Versions are in the order in which they came to be wanted; the last one is. None: each node goes by what it has.
	Versions []version `json:"versions"`
}

// howForget is how a record without versions comes about.
const howForget plugin.How = "forget"

// wanted is the version that the nodes are to serve; nil: none in particular.
func (r *record) wanted() *version {
	if len(r.Versions) == 0 {
		return nil
	}
	return &r.Versions[len(r.Versions)-1]
}

func (r *record) time() time.Time { return time.UnixMilli(r.Number).UTC() }

// rest is the record as JSON from behind its number on, which Redis adds.
func (r *record) rest() (string, error) {
	unnumbered := *r
	unnumbered.Number = 0
	text, err := json.Marshal(&unnumbered)
	return string(bytes.TrimPrefix(text, []byte(`{"number":0,`))), err
}

// readRecord reads a record. One that is damaged says where it lies and what to do.
func readRecord(name, text string) (record, error) {
	var r record
	err := json.Unmarshal([]byte(text), &r)
	if err == nil && (r.Number <= 0 || r.Change == "") {
		err = errors.New("it has no number or no change")
	}
	for i := range r.Versions {
		if v := &r.Versions[i]; err == nil && (!isDigest(v.Module) || v.Config != "" && !isDigest(v.Config)) {
			err = fmt.Errorf("version %.80q names no module", v.Version)
		}
	}
	if err != nil {
		return record{}, fmt.Errorf("the field %s of %s in Redis is damaged (%w); that key belongs to the engine alone: a node that knows "+
			"the record puts it back, else remove the field (HDEL %[2]s %[1]s)", name, keyWanted, err)
	}
	return r, nil
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// next is the record once v is wanted, which over served on the coordinator until now.
func (r *record) next(v, over version, most int) record {
	n := record{Versions: slices.Clone(r.Versions)}
	if len(n.Versions) == 0 {
		n.Versions = append(n.Versions, over)
	}
	if !n.wanted().is(&v) {
		n.Versions = append(n.Versions, v)
	}
	n.Versions = n.Versions[max(0, len(n.Versions)-most):]
	return n
}

// back is the record once the named version is wanted again, or where id is empty the one before; ok is false where the record has no
// such version.
func (r *record) back(id string) (n record, ok bool, err error) {
	last := len(r.Versions) - 2
	if id != "" {
		if last, err = r.find(id); err != nil {
			return record{}, false, err
		}
	}
	if last < 0 {
		return record{}, false, nil
	}
	return record{Versions: slices.Clone(r.Versions[:last+1])}, true, nil
}

// find returns the place of the version that id names or is the beginning of, or -1.
func (r *record) find(id string) (int, error) {
	found := -1
	for i := len(r.Versions) - 1; i >= 0; i-- {
		switch v := &r.Versions[i]; {
		case v.Version == id:
			return i, nil
		case !strings.HasPrefix(v.Version, id):
		case found >= 0 && !r.Versions[found].is(v):
			return -1, fmt.Errorf("%w as %q: several begin with it; give more of the one you mean", plugin.ErrUnknownVersion, id)
		default:
			found = i
		}
	}
	return found, nil
}
