package scan_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// attackEnv makes this test binary a process that compiles and instantiates the module of that file, unseen by the scan.
const attackEnv = "WSE_SCAN_ATTACK"

func TestMain(m *testing.M) {
	if file := os.Getenv(attackEnv); file != "" {
		os.Exit(attacked(file))
	}
	os.Exit(m.Run())
}

// What a process that is attacked may use.
const (
	attackMiB  = 4096
	attackTime = 20 * time.Second
)

func attacked(file string) int {
	limit := syscall.Rlimit{Cur: attackMiB << 20, Max: attackMiB << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	begin := time.Now()
	end := func(err any) {
		text, _, _ := strings.Cut(fmt.Sprint(err), "\n")
		fmt.Printf("%v, %d MiB, %.60s\n", time.Since(begin).Round(time.Millisecond), peakMiB(), text)
		os.Exit(0)
	}
	time.AfterFunc(attackTime, func() { end("not done") })
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithDebugInfoEnabled(false))
	compiled, err := rt.CompileModule(ctx, wasm)
	if err == nil {
		_, err = rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	}
	if err == nil {
		end("done")
	}
	end(err)
	return 0
}

// peakMiB is the most that this process had resident.
func peakMiB() (mib int) {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(rest, &mib)
	return mib >> 10
}

// TestAttacks prints what each attack does to a runtime without a scan: as much of it as the default limit admits, and
// far more, in a file of at most 16 MiB. It asserts nothing; its output is the table of engine/plugin/SANDBOX.md:
//
//	WSE_ATTACKS=1 go test -v -run TestAttacks ./engine/plugin/scan
func TestAttacks(t *testing.T) {
	if os.Getenv("WSE_ATTACKS") == "" {
		t.Skip("set WSE_ATTACKS to 1, or to the name of a limit, to measure what the limits stop; takes minutes")
	}
	far := map[string]int{
		"module_kib_max": 64 << 10, "types_max": 5_000_000, "params_max": 1000, "results_max": 1000, "imports_max": 4_000_000,
		"functions_max": 3_000_000, "function_kib_max": 16 << 10, "locals_max": 50_000, "nesting_max": 4_000_000,
		"loop_nesting_max": 100_000, "branch_targets_max": 16_000_000, "tables_max": 5_000_000, "table_elements_max": 1 << 27,
		"memory_pages_max": 65_536, "globals_max": 3_000_000, "exports_max": 2_000_000, "segments_max": 3_000_000,
		"segment_elements_max": 16_000_000, "name_bytes_max": 16_000_000, "custom_sections_max": 4_000_000,
	}
	limits := scanLimits()
	for _, limit := range limits {
		if only := os.Getenv("WSE_ATTACKS"); only != "1" && only != limit.name {
			continue
		}
		t.Logf("| `%s` | %d | %s | %d | %s |", limit.name, limit.value, attackWith(t, limit.name, limit.value), far[limit.name], attackWith(t, limit.name, far[limit.name]))
	}
}

// attackWith compiles the attack in a child process and says how that went.
func attackWith(t *testing.T, limit string, n int) string {
	file := filepath.Join(t.TempDir(), "attack.wasm")
	wasm := attack(limit, n)
	require.NoError(t, os.WriteFile(file, wasm, 0o600))
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{attackEnv + "=" + file}
	out, err := cmd.Output()
	said, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		said = fmt.Sprintf("killed at %d MiB", attackMiB)
	}
	return fmt.Sprintf("%d KiB: %s", len(wasm)>>10, said)
}
