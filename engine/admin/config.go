package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/auth"
)

// Config is the section admin.
type Config struct {
	Listen           string        `yaml:"listen"`            // host:port
	Token            auth.Secret   `yaml:"token"`             // what a request's Authorization: Bearer has to hold; empty: nothing
	BodyKiBMax       int           `yaml:"body_kib_max"`      // of a request
	ModuleKiBMax     int           `yaml:"module_kib_max"`    // of a plugin's module that is handed in
	CandidatesMax    int           `yaml:"candidates_max"`    // requests that hand in a plugin, worked on at a time, and as many that only go back or reload; more wait
	BatchItemsMax    int           `yaml:"batch_items_max"`   // events or envelopes in one request
	ListMax          int           `yaml:"list_max"`          // the largest limit a listing can be asked with
	ConnectionsMax   int           `yaml:"connections_max"`   // open at a time; more wait to be accepted
	HeaderTimeout    time.Duration `yaml:"header_timeout"`    // for a request's head
	ReadTimeout      time.Duration `yaml:"read_timeout"`      // for a whole request
	WriteTimeout     time.Duration `yaml:"write_timeout"`     // for an answer; a CPU profile has to be shorter
	RequestTimeout   time.Duration `yaml:"request_timeout"`   // for what a request asks for; what is not done by then is refused
	CandidateTimeout time.Duration `yaml:"candidate_timeout"` // the same where a plugin is handed in, which has to be compiled
	ShutdownTimeout  time.Duration `yaml:"shutdown_timeout"`  // for requests under way when the engine stops
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:9090", BodyKiBMax: 8 << 10, ModuleKiBMax: 16 << 10, CandidatesMax: 2, BatchItemsMax: 1000,
		ListMax: 10_000, ConnectionsMax: 256,
		HeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 90 * time.Second,
		RequestTimeout: 30 * time.Second, CandidateTimeout: 2 * time.Minute, ShutdownTimeout: 5 * time.Second,
	}
}

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c Config) Validate() error {
	var faults []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	host, port, err := net.SplitHostPort(c.Listen)
	n, portErr := strconv.Atoi(port)
	switch {
	case err != nil || portErr != nil || n < 0 || n > 65535:
		add(true, "listen: %q is not host:port, as in 127.0.0.1:9090", c.Listen)
	case !isLoopback(host) && c.Token == "":
		add(true, "listen: %q can be reached from outside, which needs admin.token; set one, or listen on 127.0.0.1", c.Listen)
	}
	for _, r := range c.Token {
		if r <= ' ' || r >= 0x7f {
			add(true, "token: holds a character that an HTTP header cannot carry")
			break
		}
	}
	add(c.BodyKiBMax < 1 || c.BodyKiBMax > 1<<20, "body_kib_max: %d is not within 1 to %d", c.BodyKiBMax, 1<<20)
	add(c.ModuleKiBMax < 1 || c.ModuleKiBMax > 1<<20, "module_kib_max: %d is not within 1 to %d", c.ModuleKiBMax, 1<<20)
	add(c.CandidatesMax < 1, "candidates_max: must be at least 1, is %d", c.CandidatesMax)
	add(c.BatchItemsMax < 1, "batch_items_max: must be at least 1, is %d", c.BatchItemsMax)
	add(c.ListMax < 1, "list_max: must be at least 1, is %d", c.ListMax)
	add(c.ConnectionsMax < 1, "connections_max: must be at least 1, is %d", c.ConnectionsMax)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"header_timeout", c.HeaderTimeout}, {"read_timeout", c.ReadTimeout}, {"write_timeout", c.WriteTimeout},
		{"request_timeout", c.RequestTimeout}, {"candidate_timeout", c.CandidateTimeout},
		{"shutdown_timeout", c.ShutdownTimeout},
	} {
		add(d.value <= 0, "%s: must be above 0, is %s", d.name, d.value)
	}
	return errors.Join(faults...)
}

// isLoopback reports whether host, without a port, is this machine by a name or address that nobody outside can use.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
