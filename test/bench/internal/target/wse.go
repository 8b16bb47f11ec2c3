package target

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// keyFile is where wse keeps the key it generated, in its data directory.
const keyFile = "auth.key"

// StartWSE starts the wse program at binary with a data directory and the configuration text given; the addresses are
// chosen here.
func StartWSE(binary, dir, config string, set ...string) (*Server, error) {
	data, err := os.MkdirTemp(dir, "wse-")
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	file := filepath.Join(data, "wse.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--config", file, "--set", "listen=" + listen.String(),
		"--set", "admin.listen=" + admin.String(), "--set", "data_dir=" + data}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	s := &Server{Name: "wse", Listen: listen, Admin: "http://" + admin.String(), Data: data, cmd: exec.Command(binary, args...)}
	s.cmd.Dir = data
	if err := s.start(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.Secret, err = readSecret(filepath.Join(data, keyFile))
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// freeAddr returns an address of 127.0.0.1 that was free a moment ago.
func freeAddr() (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("target: %w", err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), ln.Close()
}

// awaitReady waits until the server says that it is ready.
func (s *Server) awaitReady() error {
	var last error
	for end := time.Now().Add(startWait); time.Now().Before(end); {
		resp, err := s.client.Get("http://" + s.Listen.String() + "/readyz")
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return err
			}
			err = errors.New(resp.Status)
		}
		last = err
		if err := s.ended(20 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("target: %s was not ready within %s: %w", s.Name, startWait, last)
}

func readSecret(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("target: the key wse generates: %w", err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("target: %s: %w", path, err)
	}
	return secret, nil
}

// Publication is one item of a publish request.
type Publication struct {
	Topic    string          `json:"topic"`
	Type     string          `json:"t"`
	Payload  json.RawMessage `json:"p"`
	Priority int             `json:"pri,omitempty"`
}

// Publish hands pubs in, in one request, and checks that all were taken. Every kind of server takes the same request.
func (s *Server) Publish(ctx context.Context, pubs ...Publication) error {
	var body []byte
	var err error
	if len(pubs) == 1 {
		body, err = json.Marshal(pubs[0])
	} else {
		body, err = json.Marshal(pubs)
	}
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	answer, err := s.Post(ctx, "/api/v1/publish", "application/json", body)
	if err != nil {
		return err
	}
	if s.Name == "wse" {
		if n := bytes.Count(answer, []byte(`"seq":`)); n != len(pubs) {
			return fmt.Errorf("target: wse took %d of %d publications: %s", n, len(pubs), tail(string(answer)))
		}
	}
	return nil
}

// Post hands body to a route of the admin API and returns the answer, which must be 200.
func (s *Server) Post(ctx context.Context, path, mediaType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	req.Header.Set("Content-Type", mediaType)
	return s.do(req)
}

// Metric returns the sum of a metric's samples from /metrics.
func (s *Server) Metric(ctx context.Context, name string) (float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		if err != nil {
			return 0, fmt.Errorf("target: metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("target: %s has no metric %s", s.Name, name)
	}
	return sum, nil
}
