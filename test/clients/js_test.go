package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// setUp installs what package-lock.json names, unless it is there.
func setUp(t *testing.T) {
	t.Helper()
	setup(t, "node")
	lock, err := os.Stat("package-lock.json")
	require.NoError(t, err)
	if installed, err := os.Stat("node_modules/.package-lock.json"); err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return
	}
	out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput()
	require.NoError(t, err, "npm ci: %s", out)
}

// setup has .ci/setup see to a tool.
func setup(t *testing.T, tool string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(root, ".ci", "setup"), tool).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// settings is what a script in js gets to know.
type settings struct {
	Client     string `json:"client"`
	URL        string `json:"url"`
	Admin      string `json:"admin"`
	User       string `json:"user"`
	Token      string `json:"token"`
	Site       string `json:"site"`
	Foreign    string `json:"foreign"`
	Executable string `json:"executable"`
	Profile    string `json:"profile"`
}

func (s *server) settings(t *testing.T, client string) settings {
	t.Helper()
	user := "js_" + strings.NewReplacer(" ", "_", "-", "_").Replace(client)
	return settings{
		Client: client, URL: "ws://" + s.addr, Admin: "http://" + s.admin, User: user, Token: s.token(t, user),
		Site: s.site, Foreign: s.foreign,
	}
}

// script runs a script of js and makes a subtest of each result it reports. There must be as many as wanted.
func script(t *testing.T, set settings, want int, args ...string) {
	t.Helper()
	env, err := json.Marshal(set)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), "WSE_TEST="+string(env))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output()
	results := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var result struct{ Name, Error string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &result), "%s", lines.Text())
		results++
		t.Run(result.Name, func(t *testing.T) { require.Empty(t, result.Error) })
	}
	require.NoError(t, runErr, "%s", stderr.String())
	require.Equal(t, want, results, "scenarios that ran\n%s", stderr.String())
	if stderr.Len() > 0 {
		t.Logf("%s", stderr.String())
	}
}

// scenarioCount is how many scenarios js/scenarios.mjs has for every client, so that none is lost unseen; packedCount are
// those for clients with a library for MessagePack.
const (
	scenarioCount = 16
	packedCount   = 1
)

func TestNodeLibraries(t *testing.T) {
	setUp(t)
	s := start(t)
	for _, client := range []string{"ws", "ws with permessage-deflate", "undici"} {
		t.Run(client, func(t *testing.T) { script(t, s.settings(t, client), scenarioCount+packedCount, "js/node.mjs") })
	}
	t.Run("node", func(t *testing.T) {
		version, err := exec.Command("node", "-p", "process.versions.node").Output()
		require.NoError(t, err)
		if strings.HasPrefix(string(version), "18.") {
			t.Skipf("Node %s has no WebSocket of its own; undici, which newer ones have built in, was tested", strings.TrimSpace(string(version)))
		}
		script(t, s.settings(t, "node"), scenarioCount+packedCount, "--experimental-websocket", "--no-warnings", "js/node.mjs")
	})
	t.Run("ws of a foreign page", func(t *testing.T) { script(t, s.settings(t, "ws of a foreign page"), 1, "js/node.mjs") })
}

func TestBrowser(t *testing.T) {
	if os.Getenv("WSE_SKIP_BROWSER") == "1" {
		t.Skip("WSE_SKIP_BROWSER=1: no browser was tested")
	}
	setUp(t)
	setup(t, "chromium")
	s := start(t)
	set := s.settings(t, "chromium")
	set.Profile = t.TempDir()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			set.Executable = path
			break
		}
	}
	require.NotEmpty(t, set.Executable, "there is no Chromium; set WSE_SKIP_BROWSER=1 if that is known")
	script(t, set, scenarioCount+1, "js/browser.mjs")
}
