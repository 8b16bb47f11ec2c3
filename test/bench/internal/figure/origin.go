package figure

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Origin says where a run's numbers come from.
type Origin struct {
	Commit string // with "+changes" where the tree differs from it
	Date   time.Time
	Go     string
	CPU    string
	Cores  int
	Kernel string
}

// Here returns the origin of a run that begins now in this directory.
func Here() (Origin, error) {
	commit, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return Origin{}, fmt.Errorf("figure: which commit is measured: %w", err)
	}
	o := Origin{
		Commit: strings.TrimSpace(string(commit)), Date: time.Now().UTC(), Go: runtime.Version(),
		CPU: fieldOf("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
	}
	// What the last run wrote does not change what is measured.
	changes, err := exec.Command("git", "status", "--porcelain", "--", ":/", ":(exclude,top)test/bench/results").Output()
	if err != nil {
		return Origin{}, fmt.Errorf("figure: which commit is measured: %w", err)
	}
	if len(changes) > 0 {
		o.Commit += "+changes"
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		o.Kernel = strings.TrimSpace(string(release))
	}
	return o, nil
}

// fieldOf returns the first value of a "name : value" line, or "unknown".
func fieldOf(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// String returns the origin on one line.
func (o Origin) String() string {
	return fmt.Sprintf("commit %s, %s, %s, %d × %s, Linux %s", o.Commit, o.Date.Format("2006-01-02 15:04 UTC"), o.Go, o.Cores,
		o.CPU, o.Kernel)
}
