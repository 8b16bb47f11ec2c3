package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/scenario"
)

// patience bounds every wait for the engine; what takes longer has failed.
const patience = 2 * time.Minute

// program is the binary under test: WSE_BINARY, or what TestMain builds.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if program = os.Getenv("WSE_BINARY"); program != "" {
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
type server struct{ *scenario.Engine }

const configuration = `lifecycle: {watch: false}
plugins:
  - {name: victim, kinds: [transform], path: victim.wasm, bind: ["Victim*"], limits: {instances: 1, fuel: 2000000, fuel_init: 2000000, compile_timeout: 1m}}
  - {name: mapping, kinds: [transform], path: "stock:mapping"}
  - {name: guard, kinds: [authorize], path: guard.wasm, bind: ["stream:market_data:guarded*"], limits: {instances: 1, fuel: 2000000}}
  - {name: topicauth, kinds: [authorize], path: "stock:topicauth"}
`

// start runs the program until the test ends. That it panics fails the test.
func start(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"victim.wasm": good(), "guard.wasm": guarding().Bytes(), "wse.yaml": []byte(configuration),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	e, err := scenario.Start(program, dir, nil, false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	return &server{e}
}

// post sends a body to the admin API and returns the answer.
func (s *server) post(t *testing.T, path, contentType string, body []byte) (status int, answer []byte) {
	t.Helper()
	resp, err := http.Post("http://"+s.Admin+path, contentType, bytes.NewReader(body))
	require.NoError(t, err, "the engine must answer:\n%s", s.Output())
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
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
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
