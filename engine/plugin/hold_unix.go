//go:build unix && !solaris && !aix

package plugin

import (
	"os"
	"syscall"
)

// holdDir locks a directory for as long as the file that it returns is open and this process lives. It fails at once where
// somebody else holds it.
func holdDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
