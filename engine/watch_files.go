package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// linksMax bounds the symbolic links on the way to a file, as the system does.
const linksMax = 40

// lookouts lists the directories in which something happens when what path leads to becomes another file: its own, those of
// the symbolic links on the way to it, and where a part of the way is missing, the last directory before it. All are free of
// links themselves. Of a path that leads to a directory, that is one of them.
func lookouts(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil // there is no working directory
	}
	var dirs []string
	at, rest := string(filepath.Separator), parts(path)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		info, err := os.Lstat(next)
		if err != nil {
			return append(dirs, at)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if len(rest) == 1 {
				dirs = append(dirs, at)
			}
			at, rest = next, rest[1:]
			if !info.IsDir() {
				return dirs // of something below a file there is nothing to see
			}
			continue
		}
		dirs = append(dirs, at)
		target, err := os.Readlink(next)
		if links++; err != nil || links > linksMax {
			return dirs
		}
		if filepath.IsAbs(target) {
			at = string(filepath.Separator)
		}
		rest = append(parts(target), rest[1:]...)
	}
	return append(dirs, at)
}

func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(path), "/"), func(s string) bool { return s == "" || s == "." })
}

// imprints tells whether files have changed, by what is in them. A file that was at rest when it was read, and is the same
// one of the same size and time, is not read again.
type imprints map[string]imprint

type imprint struct {
	info   os.FileInfo
	digest string
	rested bool
}

// restTime is how old a file's time has to be for a later write to change it for certain: file systems count time in steps
// of up to two seconds.
const restTime = 3 * time.Second

// of returns a text that is the same as long as what is in the files, and whether they are there, is the same. In a
// directory those that end in .json count.
func (m imprints) of(paths []string) string {
	var all strings.Builder
	for _, path := range paths {
		fmt.Fprintf(&all, "%s\x00%s\x00", path, m.one(path))
	}
	return all.String()
}

func (m imprints) one(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		delete(m, path)
		return missing(err)
	}
	if info.IsDir() {
		files, _ := filepath.Glob(filepath.Join(path, "*.json")) // a name with * in it finds nothing, or too much: both harmless
		return "dir\x00" + m.of(files)
	}
	if old, ok := m[path]; ok && old.rested && os.SameFile(old.info, info) && old.info.Size() == info.Size() && old.info.ModTime().Equal(info.ModTime()) {
		return old.digest
	}
	now := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return missing(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, watchedBytesMax)); err != nil {
		return missing(err)
	}
	m[path] = imprint{info: info, digest: hex.EncodeToString(sum.Sum(nil)), rested: now.Sub(info.ModTime()) > restTime}
	return m[path].digest
}

// watchedBytesMax is beyond what any of the files may have: what is cut off is of a file that is refused anyway.
const watchedBytesMax = 1 << 30

// missing is what stands for the content of a file that cannot be read.
func missing(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "gone"
	}
	return "unreadable: " + err.Error()
}
