package backtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs under test: the engine's, which is $WSE_BINARY where that is set, and the example. TestMain sets them; else they
// are read-only.
var wse, backtest string

// TestMain builds the programs, once.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wse-backtest-test-")
	if err == nil {
		err = build(dir)
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(dir string) (err error) {
	backtest = filepath.Join(dir, "backtest")
	if err := built(example, backtest); err != nil {
		return err
	}
	if wse = os.Getenv("WSE_BINARY"); wse != "" {
		wse, err = filepath.Abs(wse)
		return err
	}
	wse = filepath.Join(dir, "wse")
	return built("../../engine/cmd/wse", wse)
}

// built builds the program of a directory, in the module that is there.
func built(dir, path string) error {
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", dir, err, out)
	}
	return nil
}

// report runs the example as its README says and returns what the engine answered, and what was printed.
func report(t *testing.T, args ...string) (answers map[string]any, printed string) {
	t.Helper()
	dir := t.TempDir()
	answersFile, picture := filepath.Join(dir, "report.json"), filepath.Join(dir, "equity.png")
	args = append(args, "-report", answersFile, "-picture", picture)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = example
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	text, err := os.ReadFile(answersFile)
	require.NoError(t, err)
	png, err := os.ReadFile(picture)
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(png[:4]))
	return decoded(t, text).(map[string]any), string(out)
}

// compare returns where the answers are not what was recomputed.
func compare(answers, computed map[string]any) (list []string) {
	for _, part := range []string{"session_results", "symbol_results", "strategy_results", "fills"} {
		list = append(list, differences(part, answers[part], computed[part])...)
	}
	return list
}

func TestTheExamplesNumbersAreThoseThatAnotherProgramComputes(t *testing.T) {
	t.Parallel()
	short := trend()
	short.Strategy = "testdata/short.json"
	inExample, err := filepath.Abs(short.Strategy)
	require.NoError(t, err)
	for _, c := range []struct {
		name          string
		args          []string
		run           run
		fills, trades int // that there are some, of which every way out was taken
	}{
		{"one index, daily", nil, trend(), 65, 32},
		{
			"five stocks, monthly",
			[]string{"-prices", "data/stocks.csv", "-price", "price", "-layout", "Jan 2 2006", "-strategy", "strategies/momentum.json"},
			momentum(), 83, 39,
		},
		{"a fixed size, sold short", []string{"-strategy", inExample}, short, 68, 34},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answers, printed := report(t, append([]string{backtest, "-wse", wse}, c.args...)...)
			computed := recomputed(t, c.run)
			agree(t, compare(answers, computed))
			require.Len(t, answers["fills"], c.fills)
			whole := answers["session_results"].(map[string]any)
			require.Len(t, whole["trades_list"], c.trades)
			text, err := json.Marshal(whole["trades_list"])
			require.NoError(t, err)
			for _, reason := range []string{"ze1_close", "take_profit", "stop_loss", "emergency_exit"} {
				require.Contains(t, string(text), reason)
				require.Contains(t, printed, reason)
			}
			equity := whole["metrics"].(map[string]any)["equity"].(json.Number).String()
			require.Contains(t, printed, equity[:strings.Index(equity, ".")+2], "the table has it, rounded")
			offByOne(t, answers, computed)
		})
	}
}

// offByOne shows that the comparison finds a single fill whose price is off by one in its last digit, and one that is missing.
func offByOne(t *testing.T, answers, computed map[string]any) {
	t.Helper()
	fills := computed["fills"].([]any)
	one := fills[len(fills)/2].(map[string]any)
	price := one["fill_price"].(string)
	last := price[len(price)-1]
	one["fill_price"] = price[:len(price)-1] + string('0'+(last-'0'+1)%10)
	require.Len(t, compare(answers, computed), 1)
	one["fill_price"] = price
	computed["fills"] = fills[1:]
	require.Len(t, compare(answers, computed), 1)
}
