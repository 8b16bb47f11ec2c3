package trading

import (
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// faults collects what is wrong with a request, so that its sender is told of all of it at once.
type faults []message.Fault

// faultsTold is how many faults are written out.
const faultsTold = 100

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, message.Fault{Path: path, Message: path + " " + fmt.Sprintf(format, args...)})
}

// err returns nil, or the refusal that tells of all faults.
func (f faults) err(code message.Code) error {
	if len(f) == 0 {
		return nil
	}
	return f.error(code, "")
}

// error returns a refusal that begins with what and tells of all faults.
func (f faults) error(code message.Code, what string) *message.Error {
	texts := make([]string, 0, len(f))
	for _, one := range f[:min(len(f), faultsTold)] {
		texts = append(texts, one.Message)
	}
	if more := len(f) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return message.Errorf(code, "%s%s", what, strings.Join(texts, "; ")).WithDetails(details{Errors: f.details()})
}

// details are what stands beside an error.
type details struct {
	Errors []detail `json:"errors"`
}

type detail struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (f faults) details() []detail {
	list := make([]detail, 0, min(len(f), faultsTold))
	for _, one := range f[:min(len(f), faultsTold)] {
		list = append(list, detail(one))
	}
	return list
}
