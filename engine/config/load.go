package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the environment variables that set fields.
const EnvPrefix = "WSE_"

// Load fills into, a pointer to a struct that holds the defaults, from file ("" for none), then from env (as os.Environ
// gives it), then from sets. If into has a method Validate() error, that is called last, and each error it joins, which
// begins with a path, is traced to the source of that path. The error joins a [*Fault] for everything that is wrong.
func Load(file string, env, sets []string, into any) error { return load(file, env, sets, into, true) }

// Reload is Load for a program that runs already: a file with nothing in it is a fault then, for it is being written and does
// not mean the defaults. It is read once, so that what is looked at is what is loaded.
func Reload(file string, env, sets []string, into any) error {
	return load(file, env, sets, into, false)
}

func load(file string, env, sets []string, into any, mayBeEmpty bool) error {
	root := reflect.ValueOf(into)
	if root.Kind() != reflect.Pointer || root.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: Load needs a pointer to a struct, not %T", into))
	}
	f := &faults{file: file, origin: make(map[string]string)}
	if file != "" {
		text, err := readFile(file)
		if err != nil {
			f.add(file, "", "%v", err)
			return f.err()
		}
		if !mayBeEmpty && len(bytes.TrimSpace(text)) == 0 {
			f.add(file, "", "is empty; to run on the defaults, write {}")
			return f.err()
		}
		if !decodeFile(f, file, text, root.Elem()) {
			return f.err()
		}
	}
	overrideFromEnv(f, env, root.Elem())
	for _, set := range sets {
		overrideFromSet(f, set, root.Elem())
	}
	if v, ok := into.(interface{ Validate() error }); ok {
		f.addInvalid(v.Validate())
	}
	return f.err()
}

// decodeFile decodes a file's text and reports whether it was YAML at all.
func decodeFile(f *faults, file string, text []byte, root reflect.Value) bool {
	body, err := parse(text)
	if err != nil {
		source := file
		at := err.(*syntaxError)
		if at.line > 0 {
			source = fmt.Sprintf("%s:%d", file, at.line)
		}
		f.add(source, "", "%s", at.text)
		return false
	}
	if body == nil {
		return true // all comments: the defaults
	}
	d := decoder{faults: f, source: func(line int) string { return fmt.Sprintf("%s:%d", file, line) }}
	d.value(body, "", root)
	return true
}

// readFile reads a file of at most FileKiBMax. Its errors do not repeat the name.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, cannotRead(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, FileKiBMax<<10+1))
	if err != nil {
		return nil, cannotRead(err)
	}
	return text, nil
}

func cannotRead(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// overrideFromEnv applies the environment, sorted, so that the result does not depend on its order.
func overrideFromEnv(f *faults, env []string, root reflect.Value) {
	env = slices.Clone(env)
	slices.Sort(env)
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, EnvPrefix)
		if !ok {
			continue
		}
		segments := strings.Split(strings.ToLower(rest), "__")
		if len(segments) == 1 && !hasField(root.Type(), segments[0]) {
			continue
		}
		override(f, "environment "+name, segments, value, root)
	}
}

// overrideFromSet applies one path=value.
func overrideFromSet(f *faults, set string, root reflect.Value) {
	path, value, ok := strings.Cut(set, "=")
	if !ok {
		// Not repeated: a value given without its key may be a secret.
		f.add("--set", "", "needs the form path=value, for example listen=127.0.0.1:8080")
		return
	}
	path = strings.TrimSpace(path)
	segments, ok := splitPath(path)
	if !ok {
		f.add("--set "+path, "", "the path is not of the form a.b[0].c")
		return
	}
	override(f, "--set "+path, segments, value, root)
}

// splitPath splits a.b[0].c and a.b.0.c into their segments.
func splitPath(path string) ([]string, bool) {
	path = strings.ReplaceAll(path, "]", "")
	segments := strings.Split(strings.ReplaceAll(path, "[", "."), ".")
	return segments, !slices.Contains(segments, "")
}
