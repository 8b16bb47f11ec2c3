package engine

import (
	"io"

	"github.com/hashicorp/go-hclog"
)

// NewLogger returns the logger that cfg asks for, writing to w. Its level can be changed later.
func NewLogger(cfg Logging, w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "wse", Level: hclog.LevelFromString(cfg.Level), JSONFormat: cfg.JSON, Output: w,
		TimeFormat: "2006-01-02T15:04:05.000Z07:00",
	})
}
