//go:build !unix || solaris || aix

package plugin

import (
	"errors"
	"os"
)

// holdDir cannot lock directories here.
func holdDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
