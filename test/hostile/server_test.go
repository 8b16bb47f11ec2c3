package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for the engine; what takes longer has failed.
const patience = 20 * time.Second

// program is the binary under test: WSE_BIN, or what TestMain builds.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if program = os.Getenv("WSE_BIN"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "wse-hostile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "wse")
	if out, err := exec.Command("go", "build", "-o", program, "../../engine/cmd/wse").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "hostile: building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is a running `wse serve` with two plugins that attacks are put in the place of, victim for events and guard for
// topics, and the stock plugins for everybody else.
type server struct {
	addr, admin string
	cmd         *exec.Cmd
	log         *output
	ended       chan struct{}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

const configuration = `listen: %s
admin: {listen: %s}
data_dir: %s
lifecycle: {watch: false}
plugins:
  - {name: victim, kinds: [transform], path: victim.wasm, bind: ["Victim*"], limits: {instances: 1, fuel: 2000000, fuel_init: 2000000, compile_timeout: 10s}}
  - {name: mapping, kinds: [transform], path: "stock:mapping"}
  - {name: guard, kinds: [authorize], path: guard.wasm, bind: ["stream:market_data:guarded*"], limits: {instances: 1, fuel: 2000000}}
  - {name: topicauth, kinds: [authorize], path: "stock:topicauth"}
`

func start(t *testing.T) *server {
	t.Helper()
	for range 3 { // a port may be taken between asking for it and listening on it
		s := launch(t)
		if s.ready() {
			t.Cleanup(func() { s.stop(t) })
			return s
		}
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
		if !strings.Contains(s.log.String(), "in use") {
			t.Fatalf("the engine did not become ready:\n%s", s.log)
		}
	}
	t.Fatal("no free port")
	return nil
}

func launch(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{addr: freeAddr(t), admin: freeAddr(t), log: new(output), ended: make(chan struct{})}
	for name, content := range map[string][]byte{
		"victim.wasm": good(), "guard.wasm": guarding().Bytes(),
		"wse.yaml": fmt.Appendf(nil, configuration, s.addr, s.admin, filepath.Join(dir, "data")),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	s.cmd = exec.Command(program, "serve", "--config", filepath.Join(dir, "wse.yaml"))
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // the exit status is asked for in stop
		close(s.ended)
	}()
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (s *server) ready() bool {
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return false
		case <-deadline:
			return false
		case <-tick.C:
		}
		resp, err := http.Get("http://" + s.addr + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
	}
}

// stop ends the process as an operator would.
func (s *server) stop(t *testing.T) {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended; then its status tells
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		t.Errorf("the engine did not leave after SIGTERM:\n%s", s.log)
		return
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(s.log.String(), "panic:") {
		t.Errorf("the engine left with status %d:\n%s", code, s.log)
	}
}

// post sends a body to the admin API and returns the answer.
func (s *server) post(t *testing.T, path, contentType string, body []byte) (status int, answer []byte) {
	t.Helper()
	resp, err := http.Post("http://"+s.admin+path, contentType, bytes.NewReader(body))
	require.NoError(t, err, "the engine must answer:\n%s", s.log)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, answer
}

// swap puts a module in a plugin's place. It returns the reason of a refusal, "" for none.
func (s *server) swap(t *testing.T, name string, module []byte) (refusal string) {
	t.Helper()
	status, answer := s.post(t, "/api/v1/plugins/"+name+"/swap", "application/wasm", module)
	if status/100 == 2 {
		return ""
	}
	var problem struct{ Detail string }
	require.NoError(t, json.Unmarshal(answer, &problem), "%s", answer)
	require.NotEmpty(t, problem.Detail, "%s", answer)
	return problem.Detail
}

// fate is what became of an event.
type fate struct {
	Status, Reason, Detail string
}

// event hands in a domain event.
func (s *server) event(t *testing.T, name string, padding int) fate {
	t.Helper()
	doc := fmt.Sprintf(`{"type":%q,"user_id":"u1","payload":{"padding":%q}}`, name, strings.Repeat("x", padding))
	_, answer := s.post(t, "/api/v1/events", "application/json", []byte(doc))
	var f fate
	require.NoError(t, json.Unmarshal(answer, &f), "%s", answer)
	return f
}

// resident is the engine's resident memory and its peak, in MiB; the children that compile are other processes.
func (s *server) resident(t *testing.T) (now, peak int) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not tell resident memory under /proc")
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		switch f[0] {
		case "VmRSS:":
			now, err = strconv.Atoi(f[1])
		case "VmHWM:":
			peak, err = strconv.Atoi(f[1])
		}
		require.NoError(t, err)
	}
	return now >> 10, peak >> 10
}
