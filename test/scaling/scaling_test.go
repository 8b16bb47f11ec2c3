package scaling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const document = "../../engine/SCALING.md"

func measured(t *testing.T) *Constants {
	t.Helper()
	raw, err := os.ReadFile("constants.json")
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	c := new(Constants)
	require.NoError(t, decoder.Decode(c))
	return c
}

// loads are the deployments of the document.
func loads() []Load {
	return []Load{
		{Name: "100,000", Connections: 1e5, TopicsOf: 1, Personal: 0.1, Shared: 10, Audience: 0.05, PayloadBytes: 300, Kept: 20},
		{Name: "1 million", Connections: 1e6, TopicsOf: 1, Personal: 0.1, Shared: 10, Audience: 0.05, PayloadBytes: 300, Kept: 20},
		{Name: "1 million, sharded", Connections: 1e6, TopicsOf: 1, Personal: 0.1, Shared: 10, Audience: 0.05, PayloadBytes: 300, Kept: 20, Sharded: true},
		{Name: "100 million, sharded", Connections: 1e8, TopicsOf: 1, Personal: 0.1, Shared: 10, Audience: 0.05, PayloadBytes: 300, Kept: 20, Sharded: true},
	}
}

// plans returns the document's table.
func plans(c *Constants) string {
	var b strings.Builder
	b.WriteString("| connections | cells | nodes a cell | a node's CPU, memory, network | primaries a cell | a primary's CPU, memory, network | what there have to be so many nodes for | a node dies: all back after |\n|---|---:|---:|---|---:|---|---|---:|\n")
	percent := func(s Share) string {
		return fmt.Sprintf("%.0f, %.0f, %.0f %%", 100*s.CPU, 100*s.Memory, 100*s.Network)
	}
	for _, l := range loads() {
		cells, p, err := c.Cells(l)
		if err != nil {
			fmt.Fprintf(&b, "| %s | – | – | %v | | | | |\n", l.Name, err)
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %d | %s | %s | %.1f s |\n", l.Name, cells, p.Nodes, percent(p.Node), p.Primaries, percent(p.Primary), p.Limit, c.Storm(p).Seconds)
	}
	return b.String()
}

func TestTheDocumentHasThePlansOfTheModel(t *testing.T) {
	const begin, end = "<!-- plans: replaced by WSE_UPDATE=1 go test ./test/scaling -->\n", "<!-- /plans -->"
	raw, err := os.ReadFile(document)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(raw), begin)
	require.True(t, found)
	table, after, found := strings.Cut(rest, end)
	require.True(t, found)
	want := plans(measured(t))
	if os.Getenv("WSE_UPDATE") != "" {
		require.NoError(t, os.WriteFile(document, []byte(before+begin+want+end+after), 0o644))
		return
	}
	require.Equal(t, want, table, "WSE_UPDATE=1 go test ./test/scaling writes it")
}

// TestTheSimulationIsAsBusyAsTheModelSays plays each plan and compares how busy everything is, and that what is asked of a
// deployment of this size is delivered within a fraction of a second and leaves nothing behind.
func TestTheSimulationIsAsBusyAsTheModelSays(t *testing.T) {
	c := measured(t)
	for _, l := range loads() {
		_, p, err := c.Cells(l)
		require.NoError(t, err)
		seconds := max(0.2, min(20, 1e5/p.Load.publications()))
		out := c.Simulate(p.Load, p.Nodes, p.Primaries, seconds, 1)
		t.Logf("%s: nodes %.2f (model %.2f), primaries %.2f (%.2f), p50 %.2f ms, p99 %.2f ms", l.Name, out.Node, p.Node.CPU, out.Primary, p.Primary.CPU, out.P50, out.P99)
		require.InEpsilon(t, p.Node.CPU, out.Node, 0.1, "%s: a node's CPU", l.Name)
		require.InEpsilon(t, p.Primary.CPU, out.Primary, 0.1, "%s: a primary's CPU", l.Name)
		require.InEpsilon(t, l.deliveries()/l.Connections, float64(out.Deliveries)/seconds/p.Load.Connections, 0.1, "%s: deliveries", l.Name)
		require.Less(t, out.P99, 500.0, "%s: milliseconds to the last subscriber", l.Name)
	}
}

// TestADeploymentThatIsTooSmallFallsBehind: the plan's numbers are not just large enough by far.
func TestADeploymentThatIsTooSmallFallsBehind(t *testing.T) {
	c := measured(t)
	l := loads()[2]
	l.Personal = 1 // CPU is what a plan for it runs out of
	p, err := c.Plan(l)
	require.NoError(t, err)
	const seconds = 0.5
	enough := c.Simulate(l, p.Nodes, p.Primaries, seconds, 1)
	require.Less(t, enough.Backlog, 0.2)
	few := max(1, int(float64(p.Primaries)*p.Primary.CPU*0.8))
	require.Greater(t, c.Simulate(l, p.Nodes, few, seconds, 1).Backlog, enough.Backlog+0.05, "%d primaries instead of %d", few, p.Primaries)
	fewer := max(1, int(float64(p.Nodes)*p.Node.CPU*0.8))
	require.Greater(t, c.Simulate(l, fewer, p.Primaries, seconds, 1).Backlog, enough.Backlog+0.05, "%d nodes instead of %d", fewer, p.Nodes)
}

// TestAClusterThatTellsEveryPrimaryOfEverythingDoesNotGrow is what breaks first: without sharded Pub/Sub every primary hears of
// every publication.
func TestAClusterThatTellsEveryPrimaryOfEverythingDoesNotGrow(t *testing.T) {
	c := measured(t)
	most := 0.0 // publications per second that a Cluster carries, however many primaries it has
	for primaries := 1.0; primaries <= 64; primaries *= 2 {
		l := Load{Connections: 1e6, Personal: 1, TopicsOf: 1, PayloadBytes: 300}
		share := c.PrimaryShare(&l, 100, primaries)
		most = max(most, l.publications()/share.CPU)
	}
	sharded := Load{Connections: 1e6, Personal: 1, TopicsOf: 1, PayloadBytes: 300, Sharded: true}
	share := c.PrimaryShare(&sharded, 100, 64)
	require.Greater(t, sharded.publications()/share.CPU, 4*most)
	require.False(t, math.IsInf(most, 0))
}
