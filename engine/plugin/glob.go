package plugin

import "strings"

// glob is one pattern of Config.Bind, prepared so that the usual ones cost one comparison.
type glob struct {
	pattern string
	prefix  string // what stands before the first wildcard
	kind    globKind
}

type globKind uint8

const (
	globLiteral globKind = iota
	globPrefix           // one * at the end
	globAny              // anything else
)

func newGlob(pattern string) glob {
	i := strings.IndexAny(pattern, "*?")
	switch {
	case i < 0:
		return glob{pattern: pattern, prefix: pattern}
	case i == len(pattern)-1 && pattern[i] == '*':
		return glob{pattern: pattern, prefix: pattern[:i], kind: globPrefix}
	default:
		return glob{pattern: pattern, prefix: pattern[:i], kind: globAny}
	}
}

func (g *glob) match(s string) bool {
	switch g.kind {
	case globLiteral:
		return s == g.pattern
	case globPrefix:
		return strings.HasPrefix(s, g.prefix)
	default:
		return strings.HasPrefix(s, g.prefix) && globMatch(g.pattern[len(g.prefix):], s[len(g.prefix):])
	}
}

// globMatch goes back only to the last *, so that its time is at most the product of both lengths.
func globMatch(p, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

func matchAny(globs []glob, s string) bool {
	for i := range globs {
		if globs[i].match(s) {
			return true
		}
	}
	return false
}
