package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the binary under test: WSE_BIN, or what TestMain builds.
var program string

// root is the repository.
const root = "../.."

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wse-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if program = os.Getenv("WSE_BIN"); program == "" {
		program = filepath.Join(dir, "wse")
		build := exec.Command("go", "build", "-o", program, "./engine/cmd/wse")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "clients: the program does not build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}
